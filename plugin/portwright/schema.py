"""Check a parsed file against a JSON Schema of ours: every problem with file, line, key path and likely fix."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from .errors import Problem
from .resources import data_dir
from .tomlpos import locate

_TYPES = {
    "object": "a table",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "boolean": "true or false",
}


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema `schemas/<name>.schema.json` (draft 2020-12)."""
    text = (data_dir("schemas") / f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check(data: object, schema: str, file: str, text: str | None = None) -> list[Problem]:
    """Return every problem of `data`, the parsed content of `file`; `text`, its TOML source, gives the line numbers."""
    import jsonschema  # 88 ms: only when a file changed

    validator = jsonschema.Draft202012Validator(load_schema(schema))
    problems = [problem for error in validator.iter_errors(data) for problem in _problems(error, file, text)]
    return sorted(set(problems), key=lambda p: (_line_of(p), p.where, p.problem))


def where(file: str, path: Sequence[str | int], text: str | None) -> str:
    """Name a place in a file: `port.toml:7: components.model.dtype`."""
    line = None
    for end in range(len(path), 0, -1):  # a key that is missing has the line of the table that lacks it
        line = locate(text, path[:end]) if text is not None else None
        if line is not None:
            break
    key = ".".join(map(str, path))
    place = f"{file}:{line}" if line is not None else file
    return f"{place}: {key}" if key else place


def nearest(word: str, words: Sequence[str]) -> str:
    """Return the member of `words` that looks most like `word`, or an empty string."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return found[0] if found else ""


def _line_of(problem: Problem) -> int:
    parts = problem.where.split(":")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def _problems(error: Any, file: str, text: str | None) -> Iterator[Problem]:
    path = list(error.absolute_path)
    rule, value, found = error.validator, error.validator_value, error.instance
    here = where(file, path, text)
    if rule == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        for key in sorted(set(found) - set(known)):
            close = nearest(key, known)
            hint = f"did you mean {close!r}?" if close else f"known keys: {', '.join(known)}"
            yield Problem(where(file, [*path, key], text), f"unknown key {key!r}", hint)
    elif rule == "required":
        for key in value:
            if key not in found:
                example = error.schema["properties"].get(key, {}).get("examples", [None])[0]
                hint = f"add {key} = {json.dumps(example)}" if example is not None else f"add {key}"
                yield Problem(here, f"the key {key!r} is missing", hint)
    elif rule in ("enum", "const"):
        allowed = [str(v) for v in (value if rule == "enum" else [value])]
        close = nearest(str(found), allowed)
        hint = f"did you mean {close!r}?" if close and len(allowed) > 1 else f"one of: {', '.join(allowed)}"
        yield Problem(here, f"{found!r} is not allowed here", hint)
    elif rule == "type":
        kinds = [value] if isinstance(value, str) else value
        wanted = " or ".join(_TYPES.get(kind, kind) for kind in kinds)
        yield Problem(here, f"{found!r} is not {wanted}", _hint(error.schema))
    elif rule in ("anyOf", "oneOf"):
        yield Problem(here, f"{found!r} has none of the allowed forms", _hint(error.schema))
    else:
        yield Problem(here, _plain(rule, value, found), _hint(error.schema))


def _plain(rule: str, value: object, found: object) -> str:
    if rule == "pattern":
        return f"{found!r} does not have the expected form"
    if rule in ("minimum", "exclusiveMinimum"):
        return f"{found!r} is too small, the least is {value}"
    if rule in ("maximum", "exclusiveMaximum"):
        return f"{found!r} is too large, the most is {value}"
    if rule in ("minLength", "minItems", "minProperties"):
        return "this must not be empty"
    return f"{found!r} breaks the rule {rule} = {value!r}"


def _hint(schema: dict[str, Any]) -> str:
    examples = schema.get("examples")
    description = schema.get("description", "")
    return f"{description} Example: {json.dumps(examples[0])}".strip() if examples else str(description)
