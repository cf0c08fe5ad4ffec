"""A process with torch loaded that forks one worker per job, so that many jobs import torch once (Linux only).

`python -m portwright.warm SOCKET MODULE...` imports the modules, none of them ours, and serves jobs on a Unix socket
until its parent dies. Each job runs in a fork of its own, which loads our code afresh: a job sees nothing of another,
and dies with its client. Forking is safe because the server itself never computes: no thread has been started.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

VARIABLE = "PORTWRIGHT_WARM"  # the socket's path
_START = 120.0  # seconds that the imports may take
_MESSAGE = 1 << 20


def available() -> bool:
    """Whether this system can: a fork of a process that has loaded torch is sound on Linux."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def parts_of(reference: str) -> list[str]:
    """What a server should import for a reference: torch, and the class itself as `module:Class`."""
    found = reference if ":" in reference else "transformers.modeling_utils"  # a model type: its job finds the class
    return ["torch", "numpy", "safetensors.torch", found]


@contextlib.contextmanager
def serving(modules: Sequence[str]) -> Iterator[None]:
    """Serve jobs of this process and its children while the block runs, unless somebody does already."""
    if not available() or os.environ.get(VARIABLE):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="portwright-") as folder:
        path = str(Path(folder) / "socket")
        command = [sys.executable, "-m", "portwright.warm", path, *modules]
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.environ[VARIABLE] = path
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            if server.stdout is not None:
                server.stdout.close()


class WarmProcess:
    """A worker forked by a server; has what `run_worker` needs of `subprocess.Popen`."""

    def __init__(self, path: str, module: str, job_file: Path, env: dict[str, str]) -> None:
        """Raises OSError where no server answers."""
        self.returncode = 0
        self.peak_rss = 0
        self._socket = _connect(path)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        request = {"module": module, "job": str(job_file), "env": env, "cwd": str(Path.cwd())}
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], [out_write, err_write])
        finally:
            os.close(out_write)
            os.close(err_write)
        self.stdout: IO[str] = os.fdopen(out_read, encoding="utf-8", errors="replace")
        self.stderr: IO[str] = os.fdopen(err_read, encoding="utf-8", errors="replace")

    def wait(self) -> int:
        """Wait for the job's end and take its exit status."""
        answer = self._socket.makefile().readline()
        found = json.loads(answer) if answer else {"status": -signal.SIGKILL}
        self.returncode, self.peak_rss = int(found["status"]), int(found.get("peak_rss", 0))
        self._socket.close()
        return self.returncode

    def end(self) -> None:
        """End the job: its keeper sees that we have gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def _connect(path: str) -> socket.socket:
    pause = threading.Event()
    waited = 0.0
    while True:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            if waited > _START:
                raise
        pause.wait(0.05)
        waited += 0.05


def main(arguments: list[str]) -> None:
    """Import what was asked for, then serve for ever."""
    from .workers import die_with_parent

    die_with_parent()
    path, *modules = arguments
    sys.path.insert(0, str(Path.cwd()))
    for name in modules:
        _load(name)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
    while True:
        client, _ = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(client)
        client.close()


def _load(name: str) -> None:
    """Import a module, or `module:Class`; what cannot be imported is the job's to report."""
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
        if attribute:
            getattr(found, attribute)
    except BaseException:
        return


def _keep(client: socket.socket) -> None:
    """Fork the worker, and see to it that it ends when the client does."""
    message, fds, _, _ = socket.recv_fds(client, _MESSAGE, 2)
    while message and not message.endswith(b"\n"):
        message += client.recv(_MESSAGE)
    if not message or len(fds) != 2:
        os._exit(1)
    pid = os.fork()
    if pid == 0:
        client.close()
        _work(json.loads(message), fds)
    for fd in fds:
        os.close(fd)
    handle = os.pidfd_open(pid)
    ready, _, _ = select.select([handle, client.fileno()], [], [])
    if handle not in ready:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    answer = {"status": os.waitstatus_to_exitcode(status), "peak_rss": usage.ru_maxrss * 1024}
    with contextlib.suppress(OSError):
        client.sendall(json.dumps(answer).encode() + b"\n")
    os._exit(0)


def _work(request: dict[str, Any], fds: list[int]) -> None:
    """Be the worker of one job: the process that `python -m module job.json` would have been."""
    status = 1
    try:
        os.setsid()
        os.dup2(fds[0], 1)
        os.dup2(fds[1], 2)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        for name in [n for n in sys.modules if n == "portwright" or n.startswith("portwright.")]:
            del sys.modules[name]
        paths = [p for p in request["env"].get("PYTHONPATH", "").split(os.pathsep) if p]
        sys.path[:0] = [request["cwd"], *paths]
        importlib.invalidate_caches()
        sys.argv = [request["module"], request["job"]]
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        runpy.run_module(request["module"], run_name="__main__", alter_sys=False)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            sys.__stdout__.flush() if sys.__stdout__ else None
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
