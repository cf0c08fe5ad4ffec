"""Remember which texts passed their schema, so that a run in which nothing changed does not import jsonschema."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import Any

from . import __version__
from .errors import Problem
from .paths import cache_root

_KEEP = 200  # texts remembered; one line of 64 characters each


def check_once(data: object, schema: str, file: str, text: str) -> list[Problem]:
    """Return the problems of `data`, the parsed `text`; a text that passed before is not checked again."""
    key = hashlib.sha256(f"{__version__}\0{schema}\0{text}".encode()).hexdigest()
    memory = cache_root() / "validated.txt"
    known = _read(memory)
    if key in known:
        return []
    from .schema import check

    problems = check(data, schema, file, text)
    if not problems:
        with suppress(OSError):  # a read-only home only costs time
            memory.parent.mkdir(parents=True, exist_ok=True)
            fresh = memory.with_suffix(f".{os.getpid()}")
            fresh.write_text("\n".join([*known[1 - _KEEP :], key]) + "\n", encoding="ascii")
            fresh.replace(memory)
    return problems


def _read(memory: Any) -> list[str]:
    try:
        lines: list[str] = memory.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
    return lines
