"""Say in plain words what an error of a JSON Schema means, and how to mend it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from typing import Any

_TYPES = {
    "object": "a table",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_LONG = 60  # characters of a value that a message repeats

Found = tuple[tuple[str | int, ...], str, str]  # key path, what is wrong, the fix


def problems_of(error: Any, root: Mapping[str, Any], *, toml: bool) -> Iterator[Found]:
    """Turn one `jsonschema.ValidationError` into (key path, problem, fix); `root` is the whole schema."""
    path: tuple[str | int, ...] = tuple(error.absolute_path)
    rule, value, found = error.validator, error.validator_value, error.instance
    if "propertyNames" in error.absolute_schema_path:
        yield (*path, str(found)), f"{shown(found)} is not allowed as a name here", _fix(error.schema, "", root)
    elif rule == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        forms = list(error.schema.get("patternProperties", {}))
        for key in (k for k in found if k not in known and not any(re.search(form, k) for form in forms)):
            misplaced = toml and path and key in root.get("properties", {})
            hint = f"write {key} above the first [table] of the file" if misplaced else ""
            yield (*path, key), f"unknown key {shown(key)}", hint or _choice(key, known, "known keys")
    elif rule == "required":
        for key in (key for key in value if key not in found):
            yield path, f"the key {key!r} is missing", _add(key, error.schema["properties"].get(key, {}), root, toml)
    elif rule in ("enum", "const"):
        yield path, *_not_allowed(path, value if rule == "enum" else [value], found, toml)
    elif rule == "type":
        kinds = [value] if isinstance(value, str) else list(value)
        wanted = " or ".join(_TYPES[kind] for kind in kinds)
        yield path, f"{shown(found)} is not {wanted}", _fix_type(kinds, path, error.schema, root, toml)
    elif rule in ("anyOf", "oneOf"):
        yield path, f"{shown(found)} has none of the allowed forms", _fix(error.schema, _last(path), root)
    elif rule == "maxLength" and not re.search(error.schema.get("pattern", ""), found):
        return  # the form has been complained of
    elif rule in ("minProperties", "minItems"):
        yield path, "this must not be empty", "add at least one, or leave the key out"
    else:
        yield path, _broken(rule, value, found), _fix(error.schema, _last(path), root)


def shown(value: object) -> str:
    """Write a value as its file would, cut where it is long: `true`, `'text'`, `2026-11-25`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {shown(item)}" for key, item in list(value.items())[:8])
        return _cut("{ " + inner + " }" if inner else "{}")
    if isinstance(value, list):
        return _cut(f"[{', '.join(map(shown, value[:8]))}{', …' if len(value) > 8 else ''}]")
    if value is None:
        return "null"
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONG else f"{value[:_LONG]!r}… ({len(value)} characters)"
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _last(path: Sequence[str | int]) -> str:
    """Return the key that an example can be written for; an element of a list has none."""
    return path[-1] if path and isinstance(path[-1], str) else ""


def _choice(word: str, words: Sequence[str], label: str) -> str:
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    listed = f"{label}: {', '.join(words)}"
    return f"did you mean {close[0]!r}? {listed[0].upper()}{listed[1:]}" if close else listed


def _not_allowed(path: Sequence[str | int], allowed: Sequence[object], found: object, toml: bool) -> tuple[str, str]:
    if tuple(path) == ("schema",) and isinstance(found, int) and not isinstance(found, bool):
        said = f"this file has format {shown(found)}, and this portwright reads format {allowed[0]}"
        return said, f"write {'schema = 1' if toml else 'it again'}, or install the portwright that reads it"
    texts = [str(option) for option in allowed]
    numbers = any(isinstance(option, int) for option in allowed)
    if numbers and str(found) in texts and isinstance(found, str):
        return f"{shown(found)} is a text, not a number", f"write {found} without quotes"
    word = found if isinstance(found, str) and not numbers else ""
    return f"{shown(found)} is not allowed here", _choice(word, texts, "allowed")


def _fix_type(
    kinds: Sequence[str], path: Sequence[str | int], schema: Mapping[str, Any], root: Mapping[str, Any], toml: bool
) -> str:
    if kinds == ["object"] and toml and path and all(isinstance(part, str) for part in path):
        below = "" if "properties" in _resolved(schema, root) else ".<name>"
        return f"write it as a table: the line [{'.'.join(map(str, path))}{below}], and its keys below"
    said = _fix(schema, _last(path), root)
    return said or f"write {' or '.join(_TYPES[kind] for kind in kinds)}"


def _add(key: str, schema: Mapping[str, Any], root: Mapping[str, Any], toml: bool) -> str:
    examples = _resolved(schema, root).get("examples")
    if not toml:
        return f"add {json.dumps(key)}"
    return f"add {key} = {_literal(examples[0])}" if examples else f"add the key {key}"


def _broken(rule: str, value: object, found: object) -> str:
    match rule:
        case "pattern":
            return f"{shown(found)} does not have the right form"
        case "minimum":
            return f"{shown(found)} is too small: the least is {value}"
        case "exclusiveMinimum":
            return f"{shown(found)} is too small: it must be above {value}"
        case "maximum":
            return f"{shown(found)} is too large: the most is {value}"
        case "maxLength":
            return f"{shown(found)} is too long: the most is {value} characters"
        case "minLength":
            return "this must not be empty"
        case "maxProperties":
            return f"{shown(found)} has several keys, and one is allowed"
        case "uniqueItems":
            return f"{shown(found)} holds something twice"
    return f"{shown(found)} breaks the rule {rule} = {value!r}"


def _fix(schema: Mapping[str, Any], key: str, root: Mapping[str, Any]) -> str:
    """Compose the fix of what a schema says of itself: its description, and an example where it has one."""
    schema = _resolved(schema, root)
    said = str(schema.get("description", "")).rstrip(".")
    said = said[:1].lower() + said[1:] if said[1:2].islower() or said[1:2] == " " else said
    examples = schema.get("examples")
    example = f"for example {key} = {_literal(examples[0])}" if examples and key else ""
    if examples and not key:
        example = f"for example {_literal(examples[0])}"
    return "write " + ", ".join(part for part in (said, example) if part) if said or example else ""


def _literal(value: object) -> str:
    """Write an example as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_literal(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Lay a schema over what its `$ref` names."""
    target: Any = root
    if "$ref" not in schema:
        return schema
    for part in str(schema["$ref"]).removeprefix("#/").split("/"):
        target = target[part]
    return {**_resolved(target, root), **{key: value for key, value in schema.items() if key != "$ref"}}
