"""Run a heavy stage in a process of its own, and be that process: one JSON job in, JSON event lines out.

Torch and MLX are loaded only in such processes, so that their memory goes back when a stage ends and so that the
command line, the hooks and doit stay fast. A worker dies with its parent: a half-done stage never runs on unseen.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from .errors import ExitCode, PortError, Problem
from .warm import VARIABLE, WarmProcess

Event = dict[str, Any]
OnEvent = Callable[[Event], None]

MEMORY = "PORTWRIGHT_MEMORY_LIMIT"  # bytes that a worker may hold, in its environment
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_OVER_MEMORY = 77  # a worker's exit status, between it and its parent only
_TAIL = 40  # lines of a crashed worker's stderr that the message quotes


class Limits:
    """What the workers of one piece of work may take together in seconds, and each of them in memory."""

    def __init__(self, seconds: float | None = None, memory: int | None = None) -> None:
        self.seconds, self.memory = seconds, memory
        self._end = None if seconds is None else time.monotonic() + seconds
        self._running: set[subprocess.Popen[str] | WarmProcess] = set()
        self._stopped = False
        self.peak_rss = 0  # bytes, of the largest worker that said

    def stop(self) -> None:
        """End the workers that are running, and let none start."""
        self._stopped = True
        for process in list(self._running):
            _end(process)

    @contextlib.contextmanager
    def watching(self, process: subprocess.Popen[str] | WarmProcess, module: str) -> Iterator[None]:
        """End the process when the time is up; raises PortError then, in place of what its end would raise."""
        over = threading.Event()

        def expire() -> None:
            over.set()
            _end(process)

        timer = threading.Timer(max(self._end - time.monotonic(), 0), expire) if self._end is not None else None
        self._running.add(process)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            if self._stopped:
                _end(process)
            yield
        finally:
            self._running.discard(process)
            self.peak_rss = max(self.peak_rss, getattr(process, "peak_rss", 0))
            if timer is not None:
                timer.cancel()
        if over.is_set():
            stage = module.removeprefix("portwright.")
            raise PortError(Problem(stage, f"it took longer than {self.seconds:g} s", "give more: --time-limit"))


class Emit:
    """What a worker tells its parent while it runs; every method writes one JSON line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, **fields: Any) -> None:
        self._stream.write(json.dumps(fields, ensure_ascii=False) + "\n")
        self._stream.flush()

    def progress(self, done: int, total: int, unit: str, what: str) -> None:
        """Report `done` of `total` in `unit` ("B", "tensors", "modules", "files")."""
        self.event(event="progress", done=done, total=total, unit=unit, what=what)

    def log(self, text: str) -> None:
        self.event(event="log", text=text)


def run_worker(
    module: str,
    job: dict[str, Any],
    *,
    on_event: OnEvent | None = None,
    mlx: bool = False,
    limits: Limits | None = None,
) -> Event:
    """Run `python -m module job.json` and return its result event.

    `mlx=True` preloads an OpenBLAS where one is found. Raises PortError with the worker's own problems, with the tail
    of its stderr when it crashed, or with the limit that it went over. An interrupt here ends the worker before it is
    raised again. A job with "remote_code" runs isolated (`portwright.remote`), never in a fork of a warm server.
    """
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    if limits is not None and limits.memory is not None:
        env[MEMORY] = str(limits.memory)
    if mlx:
        from .openblas import preload

        env = preload(env)
    with tempfile.TemporaryDirectory(prefix="portwright-") as folder:
        job_file = Path(folder) / "job.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        process = _start(module, job_file, env, shared=not mlx, isolated=bool(job.get("remote_code")))
        tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
        reader = threading.Thread(target=_drain, args=(process.stderr, tail), daemon=True)
        reader.start()
        try:
            with limits.watching(process, module) if limits is not None else contextlib.nullcontext():
                result = _follow(process, on_event)
        except BaseException:
            _end(process)
            raise
        finally:
            reader.join(timeout=5)
    if process.returncode == _OVER_MEMORY and limits is not None and limits.memory is not None:
        said = f"it took more than {limits.memory / 2**30:.1f} GiB"
        raise PortError(Problem("memory", said, "give more: --memory-limit"))
    return _judge(module, process.returncode, result, tail)


def _start(
    module: str, job_file: Path, env: dict[str, str], *, shared: bool, isolated: bool
) -> subprocess.Popen[str] | WarmProcess:
    """A process of its own for the job: forked by the server of `portwright.warm` where there is one and it may be."""
    if isolated:
        return _start_isolated(module, job_file, env)
    server = env.pop(VARIABLE, "")
    if server and shared:
        return WarmProcess(server, module, job_file, env)
    return _popen([module, str(job_file)], env)


def _start_isolated(module: str, job_file: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """A process for code that came with a model's weights: it knows nothing of ours but its job."""
    from .remote.environment import scrubbed

    folder = job_file.parent.resolve()
    return _popen(["portwright.remote", module, str(folder / job_file.name)], scrubbed(env, folder), folder)


def _popen(command: list[str], env: dict[str, str], folder: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a terminal's Ctrl-C reaches the parent alone, which then ends the worker
    )


def _drain(stream: TextIO | None, tail: collections.deque[str]) -> None:
    for line in stream or ():
        tail.append(line.rstrip())


def _follow(process: subprocess.Popen[str] | WarmProcess, on_event: OnEvent | None) -> Event | None:
    last: Event | None = None
    for line in process.stdout or ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library's print: not ours
        if not isinstance(event, dict):
            continue
        if event.get("event") in ("result", "error"):
            last = event
        elif on_event is not None:
            on_event(event)
    process.wait()
    return last


def _end(process: subprocess.Popen[str] | WarmProcess) -> None:
    """End the worker and whatever it started."""
    if isinstance(process, WarmProcess):
        process.end()
        return
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=2)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _judge(module: str, status: int, last: Event | None, tail: collections.deque[str]) -> Event:
    if last is not None and last["event"] == "error":
        problems = [Problem(p["where"], p["problem"], p.get("hint", "")) for p in last["problems"]]
        raise PortError(problems, ExitCode(last.get("code", 1)))
    if status == 0 and last is not None:
        return last
    stage = module.removeprefix("portwright.")
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
        hint = "too little memory is the usual reason" if name == "SIGKILL" else "run it again"
        raise PortError(Problem(stage, f"the worker was ended by {name}", hint))
    said = "\n".join(tail).strip() or "it said nothing"
    missing = _missing_package(tail)
    bug = "this is a bug in portwright: report it with the text above"
    hint = f"pip install 'portwright[{missing}]'" if missing else bug
    raise PortError(Problem(stage, f"the worker failed with status {status}:\n{said}", hint))


def _missing_package(tail: collections.deque[str]) -> str | None:
    """Name the extra that brings the package which the worker could not import."""
    extras = {"torch": "reference", "transformers": "reference", "diffusers": "reference", "mlx": "mlx"}
    extras |= dict.fromkeys(
        ("gguf", "numpy", "safetensors", "huggingface_hub", "blake3", "black", "rich", "filelock"), "build"
    )
    for line in reversed(tail):
        if line.startswith("ModuleNotFoundError: No module named '"):
            return extras.get(line.split("'")[1].split(".")[0])
    return None


def worker_main(run: Callable[[dict[str, Any], Emit], dict[str, Any]]) -> None:
    """Be a worker: read the job named on the command line, run it, print its result or its problems, exit."""
    die_with_parent()
    stream, sys.stdout = sys.stdout, sys.stderr  # a library's print must not look like an event
    emit = Emit(stream)
    if os.environ.get(MEMORY):
        _hold_to(int(os.environ[MEMORY]))
    try:
        job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        result = run(job, emit)
    except PortError as error:
        problems = [{"where": p.where, "problem": p.problem, "hint": p.hint} for p in error.problems]
        emit.event(event="error", problems=problems, code=int(error.code))
        raise SystemExit(int(error.code)) from None
    except OSError as error:
        if error.errno is None:
            raise
        where = str(error.filename or "")
        hint = "free some space and run it again" if error.errno in (27, 28, 122) else ""  # EFBIG, ENOSPC, EDQUOT
        emit.event(event="error", problems=[{"where": where, "problem": error.strerror, "hint": hint}], code=1)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(int(ExitCode.INTERRUPTED)) from None
    except MemoryError:
        if os.environ.get(MEMORY):
            os._exit(_OVER_MEMORY)
        raise
    emit.event(event="result", **result)


def _hold_to(limit: int) -> None:
    """End this process with the status that says so when it holds more than `limit` bytes.

    The status alone says it, so that nothing is allocated and no stream is needed at a moment when either may fail.
    """

    def watch() -> None:
        pause = threading.Event()
        while _resident() <= limit:
            pause.wait(0.1)
        os._exit(_OVER_MEMORY)

    if sys.platform == "linux":  # a backstop for one huge allocation between two looks
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        most = held + 2 * limit + 2**30
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    threading.Thread(target=watch, daemon=True).start()


def _resident() -> int:
    """Bytes of memory that this process holds now; elsewhere than on Linux, the most that it held."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent dies; elsewhere watch the parent's id."""
    parent = os.getppid()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request
            os._exit(1)
        return

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
