"""What the generated code says about its parameters: the reference names each is made from, its layout and shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..dtypes import dtype_of
from ..errors import ExitCode, PortError, Problem
from .ops import FIELDS, Shape
from .ruleset import OpSpec


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


def parse_portmap(body: Mapping[str, Any], where: str = "portmap.json") -> Portmap:
    """Read the content of a portmap.json; raises PortError with every problem."""
    problems: list[Problem] = []
    params: dict[str, Parameter] = {}
    for key, entry in body.get("params", {}).items():
        at = f"{where}: params.{key}"
        ops = tuple(_op(op, f"{at}.ops.{index}", problems) for index, op in enumerate(entry.get("ops", [])))
        code = dtype_of(entry["dtype"]) if entry.get("dtype") else None
        if entry.get("dtype") and code is None:
            problems.append(Problem(at, f"unknown dtype {entry['dtype']!r}", "a safetensors code or a torch name"))
        shape = tuple(entry["shape"]) if entry.get("shape") is not None else None
        params[key] = Parameter(key, tuple(entry["from"]), ops, shape, code.code if code else None)
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return Portmap(params, body.get("unused", {}))


def _op(body: Mapping[str, Any], at: str, problems: list[Problem]) -> OpSpec:
    ((name, arguments),) = body.items()
    if name not in FIELDS:
        problems.append(Problem(at, f"unknown op {name!r}", f"one of: {', '.join(FIELDS)}"))
    if name in ("transpose", "reshape"):
        arguments = {"perm" if name == "transpose" else "shape": arguments}
    return OpSpec(name, arguments, at)
