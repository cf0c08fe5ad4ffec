"""Make the library's config from a GGUF file's metadata, by the table of a Skill; what it does not speak of stops.

A field of the table is the metadata key that holds it, or a table with one of
`first` (a list of keys, the first that is there), `same` (the same, and all that are there must be equal), `value`
(itself), `count` (the length of a list), `has` or `lacks` (whether the file has a tensor of that name); beside them
`default` is for a key that is not there, and `optional = true` leaves the field out. A dotted field is a nested one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..errors import ExitCode, PortError, Problem
from .header import GgufHeader


def make_config(table: Mapping[str, Any], header: GgufHeader, file: str) -> dict[str, Any]:
    """The config that the Skill's `[gguf]` describes; raises PortError with every key missing or not spoken of."""
    problems: list[Problem] = []
    architecture = header.metadata.get("general.architecture")
    if architecture not in table.get("architecture", ()):
        known = ", ".join(table.get("architecture", ()))
        problem = Problem(file, f"its general.architecture is {architecture!r}, and the Skill reads {known}",
                          "name another Skill in port.toml")  # fmt: skip
        raise PortError(problem, ExitCode.USAGE)
    config: dict[str, Any] = {}
    for field, how in table.get("config", {}).items():
        found, value = _value(how, header)
        values = {str(header.metadata[key]) for key in how["same"] if key in header.metadata} if "same" in how else ()
        if len(values) > 1:
            hint = "the reference knows one number for them: another class, or another Skill, is needed"
            problems.append(Problem(f"{file}: {field}", f"{_keys(how)} differ: {' and '.join(sorted(values))}", hint))
        elif found:
            _put(config, field, value)
        elif not (isinstance(how, Mapping) and how.get("optional")):
            hint = "give the field a default in the Skill's [gguf.config], or another key"
            problems.append(Problem(f"{file}: {field}", f"the file does not say it: {_keys(how)} is missing", hint))
    spoken = {key for how in table.get("config", {}).values() for key in _spoken(how)}
    for key in header.metadata:
        if key not in spoken and not any(fnmatchcase(key, pattern) for pattern in table.get("ignore", ())):
            hint = "map it in the Skill's [gguf.config], or name it in [gguf] ignore if it changes no number"
            problems.append(Problem(f"{file}: {key}", "the Skill does not speak of this metadata", hint))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return config


def _value(how: Any, header: GgufHeader) -> tuple[bool, Any]:
    """Whether the file says it, and what."""
    if isinstance(how, Mapping):
        if "value" in how:
            return True, how["value"]
        if "lacks" in how or "has" in how:
            present = how.get("has", how.get("lacks")) in header.tensors
            return True, present is ("has" in how)
    for key in _spoken(how):
        if key in header.metadata:
            value = header.metadata[key]
            return True, len(value) if isinstance(how, Mapping) and "count" in how else _plain(value)
    return (True, how["default"]) if isinstance(how, Mapping) and "default" in how else (False, None)


def _spoken(how: Any) -> Iterator[str]:
    """The metadata keys that a field reads."""
    if isinstance(how, str):
        yield how
    else:
        yield from how.get("first", how.get("same", ()))
        if "count" in how:
            yield how["count"]


def _keys(how: Any) -> str:
    return " or ".join(_spoken(how))


def _put(config: dict[str, Any], field: str, value: Any) -> None:
    *outer, last = field.split(".")
    for name in outer:
        config = config.setdefault(name, {})
    config[last] = value


def _plain(value: Any) -> Any:
    """A float32 as the shortest decimal that rounds to it: 1e-05 is what was written, 9.999999747e-06 what is read."""
    if not isinstance(value, float):
        return value
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        return value
    if struct.unpack("<f", packed)[0] != value:
        return value
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next(float(text) for text in texts if struct.pack("<f", float(text)) == packed)
