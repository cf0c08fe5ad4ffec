"""Remember which texts were found right, so that a run in which nothing changed does not import jsonschema."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from . import __version__
from .errors import Problem
from .paths import cache_root
from .resources import data_dir

_KEEP = 200  # texts remembered; one line of 64 characters each


def check_once(data: object, schema: str, file: str, text: str) -> list[Problem]:
    """Return the problems of `data`, the parsed `text`; a text that passed before is not checked again."""

    def find() -> list[Problem]:
        from .schema import check

        return check(data, schema, file, text)

    rules = (data_dir("schemas") / f"{schema}.schema.json").read_text(encoding="utf-8")
    return problems_once(f"{schema}\0{rules}", text, find)


def problems_once(kind: str, text: str, find: Callable[[], list[Problem]]) -> list[Problem]:
    """Return what `find` says of a `text` of this `kind`, or nothing where it said nothing before."""
    key = hashlib.sha256(f"{__version__}\0{kind}\0{text}".encode()).hexdigest()
    memory = cache_root() / "validated.txt"
    known = _read(memory)
    if key in known:
        return []
    problems = find()
    if not problems:
        with suppress(OSError):  # a read-only home only costs time
            memory.parent.mkdir(parents=True, exist_ok=True)
            fresh = memory.with_suffix(f".{os.getpid()}")
            fresh.write_text("\n".join([*known[1 - _KEEP :], key]) + "\n", encoding="ascii")
            fresh.replace(memory)
    return problems


def _read(memory: Path) -> list[str]:
    try:
        return memory.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
