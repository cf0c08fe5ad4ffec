"""Read TOML with every fault as a problem that names its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomli

from .errors import ExitCode, PortError, Problem

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HINTS = (  # what the parser says -> what was most likely meant
    ("Cannot overwrite", "this key stands twice in its table: keep one of them"),
    ("Cannot declare", "this table stands twice: put its keys together under one [header]"),
    ("Cannot mutate", "this table stands twice: put its keys together under one [header]"),
    ("Illegal character '\\n'", "the closing quote is missing"),
    ("Expected '='", 'write key = "value"'),
    ("Invalid value", 'write texts in quotes, and true and false in lower case: key = "value"'),
    ("Expected ']'", "write the header of a table as [name] on a line of its own"),
    ("Escaped character is not", "this escape names no character"),
    ("Unescaped '\\'", "write \\\\ for a backslash, or use single quotes"),
)
_DEPTH = 64  # probes of a Skill may nest freely; nothing of ours needs ten
_OTHERWISE = 'each line is key = "value", [table] or # comment: see toml.io'


def read_text(path: Path) -> str:
    """Read a UTF-8 file; raises PortError (USAGE) where it is missing, unreadable or in another encoding."""
    try:
        content = path.read_bytes()
    except OSError as error:
        hint = "`portwright init <source>` drafts one" if path.name == "port.toml" else "restore it, or its permissions"
        said = "there is no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise PortError(Problem(str(path), said, hint), ExitCode.USAGE) from None
    return decode(content, str(path))


def decode(content: bytes, file: str) -> str:
    """Decode UTF-8, without a byte order mark; raises PortError (USAGE) with the line of the first wrong byte."""
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"it is not UTF-8 text: byte {content[error.start]:#04x} here"
        raise PortError(Problem(f"{file}:{line}", problem, "save it as UTF-8"), ExitCode.USAGE) from None


def parse(text: str, file: str) -> dict[str, Any]:
    """Parse TOML; raises PortError (USAGE) with the line and the likely fix."""
    try:
        data = tomli.loads(text)
        _check_depth(data)
        return data
    except tomli.TOMLDecodeError as error:
        problem = _located(str(error), text, file)
    except RecursionError:
        problem = Problem(file, "its values nest too deeply", f"at most {_DEPTH} levels are read")
    except ValueError:  # Python's limit on the digits of a number
        line = next((i for i, row in enumerate(text.splitlines(), 1) if re.search(r"\d{4301}", row)), 1)
        problem = Problem(f"{file}:{line}", "a number of thousands of digits", "write a smaller number")
    raise PortError(problem, ExitCode.USAGE)


def _check_depth(data: dict[str, Any]) -> None:
    """Raise RecursionError for values that nest deeper than whoever walks them should have to."""
    level: list[Any] = [data]
    for _ in range(_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise RecursionError


def _located(said: str, text: str, file: str) -> Problem:
    found = _PLACE.search(said)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    row = text.splitlines()[line - 1 : line]
    if row and row[0].startswith(("<<<<<<<", "=======", ">>>>>>>")):
        hint = "settle the conflict and delete the marker lines"
        return Problem(f"{file}:{line}", "it holds the conflict markers of a merge", hint)
    message = said[: found.start()] if found else said
    column = f" (column {found[2]})" if found and found[2] else ""
    hint = next((hint for start, hint in _HINTS if message.startswith(start)), _OTHERWISE)
    return Problem(f"{file}:{line}", f"not valid TOML: {message}{column}", hint)
