"""Judge file names that came from somebody else before they are joined to a folder of ours."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_DRIVE = re.compile(r"[A-Za-z]:")


def name_problem(name: str) -> str:
    """Say what is wrong with a file name from an archive, a server or a lock; "" if joining it to a folder is safe."""
    if not name or _UNSAFE.search(name):
        return "has an empty name, a control character or a backslash"
    if name.startswith("/") or _DRIVE.match(name):
        return "has an absolute name"
    path = PurePosixPath(name)
    if ".." in path.parts:
        return "leaves its folder by `..`"
    if str(path) != name.rstrip("/") or str(path) == ".":
        return "has a name that is not in its simplest form"
    return ""
