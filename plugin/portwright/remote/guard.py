"""What Python itself refuses in a process that runs a source's code: sockets, other programs, writing elsewhere.

An audit hook sees what goes through Python, on every system. It cannot be taken away again, but native code (ctypes, an
extension) passes it by: the kernel's limits (`kernel`) hold that too, where there are any.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

_HARMLESS = frozenset({"socket.gethostname"})  # it opens nothing
_REFUSED = frozenset(
    {
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
        "os.startfile", "os.kill", "os.killpg",
    }
)  # fmt: skip
# Events that change files, and which of their arguments are paths.
_CHANGES = {
    "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,),
    "os.rename": (0, 1), "os.link": (0, 1), "os.symlink": (1,), "os.utime": (0,), "os.setxattr": (0,),
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(writable: Sequence[str]) -> None:
    """Refuse them from now on, in this process; files may be changed below the folders `writable` only."""
    roots = tuple(os.path.realpath(root) + os.sep for root in writable)
    refused, harmless, changes, writing = _REFUSED, _HARMLESS, _CHANGES, _WRITING
    realpath, fspath, fsdecode, own = os.path.realpath, os.fspath, os.fsdecode, f"/proc/{os.getpid()}/"

    def path_of(value: Any) -> str:
        return realpath(fsdecode(fspath(value)))

    def check(event: str, value: Any) -> None:
        if isinstance(value, int):
            return  # a file that is open already
        path = path_of(value)
        if not f"{path}/".startswith(roots) and path != os.devnull:
            refuse(f"{event} of {path}")

    def refuse(what: str) -> NoReturn:
        raise PermissionError(f"code that comes with a model's weights may not do this: {what}")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & writing:
                check(event, path)
            elif isinstance(path, (str, bytes)) and b"proc" in os.fsencode(path):
                real = path_of(path)
                if real.startswith("/proc/") and real[6:7].isdigit() and not real.startswith(own):
                    refuse(f"{event} of {real}")
        elif event in refused or (event.startswith("socket.") and event not in harmless):
            refuse(event)
        elif event in changes:
            for place in changes[event]:
                check(event, args[place])

    _close_side_door(refuse)
    sys.addaudithook(hook)


def _close_side_door(refuse: Any) -> None:
    """Replace what `subprocess` and `multiprocessing` start programs with, which tells no hook."""
    import _posixsubprocess
    import subprocess

    def fork_exec(*arguments: Any) -> None:
        refuse("fork_exec")

    for module, name in ((_posixsubprocess, "fork_exec"), (subprocess, "_fork_exec")):
        if hasattr(module, name):
            setattr(module, name, fork_exec)
