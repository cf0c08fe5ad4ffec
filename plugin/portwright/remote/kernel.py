"""What the kernel refuses in a process that runs a source's code, where it can be asked to: on Linux, by anybody.

Each layer is asked for by itself and reports whether it holds; nothing here fails for want of one. They are set before
the first thread starts, and no later code of the process can take them off.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000  # <linux/sched.h>
_NO_NEW_PRIVILEGES = 38  # <linux/prctl.h>
_CAPABILITIES_V3 = 0x20080522  # <linux/capability.h>
_FILE_CAPABILITIES = 0b11111  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: what root's own files may need


def no_network() -> bool:
    """Move this process into a network of its own that has no way out, and give up the right to leave it.

    Root may do that; others do it inside a user namespace, which some systems forbid. To be called before any thread.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if user == 0 and libc.unshare(_NEW_NET) == 0:
        kept = _FILE_CAPABILITIES
    elif libc.unshare(_NEW_USER | _NEW_NET) == 0:
        kept = 0
        _map_self(user, group)
    else:
        return False
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    sets = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)  # effective, permitted, inheritable; low words, then high
    dropped = libc.capset(header, sets) == 0
    return dropped and _interfaces() <= {"lo"}


def _map_self(user: int, group: int) -> None:
    """Keep the user's own numbers inside the new namespace, so that files belong to whom they did."""
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return  # the numbers read as nobody's; what may be done is the same


def _interfaces() -> set[str]:
    """Name the network interfaces of this process's namespace."""
    lines = Path("/proc/self/net/dev").read_text(encoding="utf-8").splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines}


# Landlock, <linux/landlock.h>: what may be done below which folders.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE = (1 << 4) | (1 << 5)
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << n for n in range(6, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # since versions 2 and 3
_NET_TCP = 0b11  # bind and connect, since version 4
_SCOPES = 0b11  # abstract sockets and signals, since version 6
_VERSION = 1  # a flag: say which version there is


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def no_files(writable: Iterable[Path], readable: Iterable[Path], home: Path | None) -> bool:
    """Let this process change files below `writable` only, start no program, and read nothing of `home`.

    `readable` are the exceptions below `home`. Processes outside can then be neither read nor signalled.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    reading = _READ_FILE | _READ_DIR
    making = _WRITE_FILE | _REMOVE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM
    making |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    handled = reading | making | _EXECUTE | _MAKE_CHAR | _MAKE_SOCK | _MAKE_FIFO | _MAKE_BLOCK
    ruleset = _Ruleset(handled, _NET_TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    handle = libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if handle < 0:
        return False
    try:
        allowed = [(path, reading) for path in (*_outside(home), *readable)]
        allowed += [(path, reading | making) for path in (Path(os.devnull), *writable)]
        held = all(_allow(libc, handle, path, rights) for path, rights in allowed)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return held and libc.syscall(_RESTRICT_SELF, handle, 0) == 0
    finally:
        os.close(handle)


def _allow(libc: ctypes.CDLL, handle: int, path: Path, rights: int) -> bool:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True  # what is not there needs no right
    try:
        if not path.is_dir():
            rights &= _READ_FILE | _WRITE_FILE | _TRUNCATE
        rule = _Beneath(rights, parent)
        return bool(libc.syscall(_ADD_RULE, handle, 1, ctypes.byref(rule), 0) == 0)
    finally:
        os.close(parent)


def _outside(home: Path | None) -> list[Path]:
    """Return the folders that hold everything but home folders and run-time secrets."""
    root = Path("/")
    parts = home.parts if home is not None and home.is_absolute() else ()
    hidden = {parts[1] if len(parts) > 1 else "home", "run"}
    return [path for path in sorted(root.iterdir()) if path.name not in hidden]
