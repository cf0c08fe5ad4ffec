"""Get one wheel through `pip download`, with the user's own pip configuration, and say clearly why it failed."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import ExitCode, PortError, Problem
from ..records import SourceRef
from .backend import Say

_NETWORK = re.compile(
    "Could not fetch URL .*: connection error|NewConnectionError|NameResolutionError|Max retries exceeded"
    "|TimeoutError|SSLError|ssl certificate|ProxyError|Connection reset"
)
_RAW_PROGRESS = (24, 1)  # pip's first release with --progress-bar raw


def download_wheel(ref: SourceRef, target: Path, temp_dir: Path, say: Say) -> None:
    """Put the wheel of `ref` at `target` in one step; raises PortError with pip's reason.

    pip works in `temp_dir`, which must be on the same file system. No package code runs: pip is told to take
    wheels only, to leave dependencies alone, and to install nothing.
    """
    pip = _pip_version()
    temp_dir.mkdir(parents=True, exist_ok=True)
    log = temp_dir / "pip.log"
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--log", str(log)]
    command += ["download", "--no-deps", "--only-binary=:all:", "--dest", str(temp_dir)]
    command += ["--progress-bar", "raw" if pip >= _RAW_PROGRESS else "off"]
    command.append(f"{ref.name}=={ref.revision}")
    said: list[str] = []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(temp_dir)},  # a killed pip's leftovers go with the temp folder
        preexec_fn=_die_with_parent(),
    )
    try:
        for line in process.stdout or ():
            if match := re.fullmatch(r"Progress (\d+) of (\d+)\s*", line):
                say(int(match[1]), int(match[2]), f"wheel of {ref.text}")
            else:
                said.append(line.rstrip())
        status = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    wheels = sorted(temp_dir.glob("*.whl"))
    if status != 0 or len(wheels) != 1:
        raise PortError(_why(ref, said, _text(log)), ExitCode.SOURCE)
    with wheels[0].open("rb") as stream:
        os.fsync(stream.fileno())
    wheels[0].replace(target)


def _pip_version() -> tuple[int, ...]:
    try:
        text = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        hint = f"{sys.executable} -m ensurepip"
        raise PortError(Problem("pip", f"{sys.executable} has no pip", hint), ExitCode.SOURCE) from None
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _why(ref: SourceRef, said: list[str], log: str) -> Problem:
    """Name the one reason for pip's failure, from its output and its verbose log."""
    text = "\n".join(said) + log
    versions = re.search(r"\(from versions: ([^)]*)\)", text)
    have = versions[1] if versions and versions[1] != "none" else ""
    if re.search("No space left on device|Disk quota exceeded|File too large", text):
        hint = "free some space, or set PORTWRIGHT_CACHE to a folder on another disk"
        return Problem(ref.text, "the disk is full: pip could not store the wheel", hint)
    if _has_archive(log, ref):
        hint = "ask its publisher for a wheel; a source archive would have to be executed to be unpacked"
        return Problem(ref.text, "this version has a source archive and no wheel for this interpreter", hint)
    if not have and "none of the wheel's tags" in log:
        python = f"Python {sys.version_info.major}.{sys.version_info.minor} on {sys.platform}"
        hint = "run portwright under a Python that the distribution has wheels for"
        return Problem(ref.text, f"its wheels are for other interpreters than this one ({python})", hint)
    if not have and _NETWORK.search(text):
        hint = "check the network, the proxy and pip's index (`pip config list`), then run it again"
        return Problem(ref.text, "pip could not reach its index", hint)
    if versions:
        problem = f"pip finds no wheel of version {ref.revision} of {ref.name}"
        hint = f"versions with a wheel: {have}" if have else "check the spelling, and pip's index (`pip config list`)"
        return Problem(ref.text, problem, hint)
    reasons = [line for line in said if line.startswith("ERROR:")] or said[-3:] or ["it said nothing"]
    hint = f"try `{sys.executable} -m pip download --no-deps {ref.name}=={ref.revision}` by hand"
    return Problem(ref.text, "pip could not download the wheel: " + " ".join(reasons)[:600], hint)


def _has_archive(log: str, ref: SourceRef) -> bool:
    """Tell whether pip passed over a source archive of just this version."""
    stem = "[-_.]+".join(map(re.escape, ref.name.split("-")))
    pattern = (
        rf"(?i)Skipping link: No (?:sources|binaries) permitted.*{stem}-{re.escape(ref.revision)}\.(?:tar\.\w+|zip|tgz)"
    )
    return re.search(pattern, log) is not None


def _text(log: Path) -> str:
    try:
        return log.read_text(errors="replace")
    except OSError:
        return ""


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux, ask the kernel to kill pip when this process dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
