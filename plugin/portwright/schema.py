"""Check a parsed file against a JSON Schema of ours: every problem with file, line, key path and likely fix."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import date, time
from functools import cache, lru_cache
from typing import Any

from .errors import Problem
from .resources import data_dir
from .schemawords import problems_of, shown

Path = tuple[str | int, ...]


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema `schemas/<name>.schema.json` (draft 2020-12)."""
    text = (data_dir("schemas") / f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check(data: object, schema: str, file: str, text: str | None = None) -> list[Problem]:
    """Return every problem of `data`, the parsed content of `file`, in the order of the file's lines.

    `text`, its TOML or JSON source, gives the line numbers. Beside the schema it is checked that every value can be
    digested: dates, NaN and infinity cannot.
    """
    root = load_schema(schema)
    found = [
        (path, problem, hint)
        for error in _validator()(root).iter_errors(data)
        for path, problem, hint in problems_of(error, root, toml=file.endswith(".toml"))
    ]
    told = {path for path, _, _ in found}
    found += [item for item in _undigestible(data, ()) if item[0] not in told]
    problems = [Problem(where(file, path, text), problem, hint) for path, problem, hint in found]
    return in_line_order(problems)


def where(file: str, path: Sequence[str | int], text: str | None) -> str:
    """Name a place in a file: `port.toml:7: components.model.dtype`.

    A key that is missing has the line of the table that lacks it.
    """
    line = None
    if text is not None:
        known = _lines(text, file.endswith(".json"))
        line = next((known[key] for end in range(len(path), 0, -1) if (key := tuple(path[:end])) in known), None)
    dotted = ".".join(part if (part := str(key)).isprintable() else repr(part)[1:-1] for key in path)
    place = f"{file}:{line}" if line is not None else file
    return f"{place}: {dotted}" if dotted else place


def in_line_order(problems: list[Problem]) -> list[Problem]:
    """Sort problems by their line, each once, file after file; those without a line come first in their file."""
    places = {problem: re.match(r"([^:]*)(?::(\d+))?", problem.where) for problem in dict.fromkeys(problems)}
    files = list(dict.fromkeys(place[1] for place in places.values() if place))
    return sorted(places, key=lambda p: (files.index(m[1]), int(m[2] or 0)) if (m := places[p]) else (0, 0))


def nearest(word: str, words: Sequence[str]) -> str:
    """Return the member of `words` that looks most like `word`, or an empty string."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return found[0] if found else ""


@lru_cache(maxsize=4)
def _lines(text: str, is_json: bool) -> dict[Path, int]:
    if is_json:
        from .jsonpos import positions as json_positions

        return json_positions(text)
    from .tomlpos import positions

    return positions(text)


@cache
def _validator() -> Any:
    """Return the validator class; `$` of its patterns is the end of the text, where Python's also fits before a last
    line feed."""
    import jsonschema  # 88 ms: only when a file changed

    def pattern(validator: Any, value: str, instance: object, schema: object) -> Iterator[Any]:
        if isinstance(instance, str) and not re.search(re.sub(r"(?<!\\)\$", r"\\Z", value), instance):
            yield jsonschema.ValidationError(f"{instance!r} does not match {value!r}")

    extend: Any = jsonschema.validators.extend
    return extend(jsonschema.Draft202012Validator, {"pattern": pattern})


def _undigestible(value: object, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Find the values that JSON has no form for."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _undigestible(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _undigestible(inner, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"{shown(value)} is not a finite number", "write a number, or leave the key out"
    elif isinstance(value, date | time):
        yield path, "dates and times mean nothing here", f'write it as text, in quotes: "{shown(value)}"'
