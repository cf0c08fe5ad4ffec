"""What the generated code says about its parameters: the reference names each is made from, its layout and shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..dtypes import dtype_of
from ..errors import ExitCode, PortError, Problem
from .ops import Shape
from .ruleset import OpSpec, RestoreSpec


@dataclass(frozen=True)
class Parameter:
    """One parameter of the generated module: made from `sources`, reference names, by layout ops."""

    key: str
    sources: tuple[str, ...]
    ops: tuple[OpSpec, ...]
    shape: Shape | None  # as the module declares it; None where it does not say
    dtype: str | None  # safetensors code


@dataclass(frozen=True)
class Portmap:
    """The parameters by name, and the reference names that the port does not use, with the reason."""

    params: Mapping[str, Parameter]
    unused: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Every reference name that a checkpoint may be bound to."""
        return frozenset(name for p in self.params.values() for name in p.sources) | frozenset(self.unused)


_SHAPED = ("transpose", "reshape")  # their argument is a list, that of the others a table
_OPS = (*_SHAPED, "concat", "stack", "slice")


def parse_portmap(body: Mapping[str, Any], where: str = "portmap.json") -> Portmap:
    """Read the content of a portmap.json; raises PortError with every problem."""
    problems: list[Problem] = []
    params: dict[str, Parameter] = {}
    for key, entry in body.get("params", {}).items():
        faults = list(_faults(entry))
        problems += [Problem(f"{where}: params.{key}", fault, "generate the code again") for fault in faults]
        if not faults:
            ops = tuple(_op(op, f"{where}: params.{key}.ops.{i}") for i, op in enumerate(entry.get("ops", [])))
            code = dtype_of(entry["dtype"]) if entry.get("dtype") else None
            shape = tuple(entry["shape"]) if entry.get("shape") is not None else None
            params[key] = Parameter(key, tuple(entry["from"]), ops, shape, code.code if code else None)
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return Portmap(params, body.get("unused", {}))


def _faults(entry: Any) -> Iterator[str]:
    """What is wrong with the entry of one parameter."""
    if not isinstance(entry, dict):
        yield "its entry is not an object"
        return
    names = entry.get("from")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        yield "`from` must list the reference names that it is made from"
    if entry.get("dtype") and (not isinstance(entry["dtype"], str) or dtype_of(entry["dtype"]) is None):
        yield f"unknown dtype {entry['dtype']!r}"
    if entry.get("shape") is not None and not _naturals(entry["shape"]):
        yield f"shape {entry['shape']!r} is not a list of sizes"
    for op in entry.get("ops", []):
        name, value = next(iter(op.items())) if isinstance(op, dict) and len(op) == 1 else ("", None)
        if name not in _OPS:
            yield f"unknown op {op!r}; one of: {', '.join(_OPS)}"
        elif not _naturals(value if name in _SHAPED else list(value.values()) if isinstance(value, dict) else None):
            yield f"the arguments of {op!r} are not whole numbers"


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _op(body: Mapping[str, Any], at: str) -> OpSpec:
    ((name, value),) = body.items()
    if name in _SHAPED:
        value = {"perm" if name == "transpose" else "shape": value}
    if name == "slice":
        value = {**value, "restore": RestoreSpec("stored", True)}
    return OpSpec(name, value, at)
