"""Headers, portmaps and rules from short descriptions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod
from typing import Any

from portwright.dtypes import DTYPES
from portwright.errors import PortError
from portwright.records import TensorInfo
from portwright.rules.bind import bind
from portwright.rules.compose import compose
from portwright.rules.load import parse_rules
from portwright.rules.moves import Binding
from portwright.rules.portmap import Portmap, parse_portmap
from portwright.rules.prove import Proof, prove

Shapes = Mapping[str, tuple[int, ...]]


def headers(shapes: Shapes, dtype: str = "F32", file: str = "model.safetensors") -> dict[str, TensorInfo]:
    found: dict[str, TensorInfo] = {}
    begin = 0
    for key, shape in shapes.items():
        end = begin + prod(shape) * DTYPES[dtype].bits // 8
        found[key] = TensorInfo(key, dtype, tuple(shape), file, begin, end)
        begin = end
    return found


def portmap(params: Mapping[str, Any], unused: Mapping[str, str] | None = None) -> Portmap:
    """Each parameter as its shape, or as a whole entry."""
    body = {
        key: entry if isinstance(entry, dict) else {"from": [key], "ops": [], "shape": list(entry), "dtype": "float32"}
        for key, entry in params.items()
    }
    return parse_portmap({"params": body, "unused": dict(unused or {})})


def bound(rules: str, shapes: Shapes, names: Collection[str], config: Mapping[str, Any] | None = None) -> Binding:
    return bind(parse_rules(("schema = 1\n" + rules).encode(), "rules.toml"), headers(shapes), names, config or {})


def proved(rules: str, shapes: Shapes, wanted: Portmap, config: Mapping[str, Any] | None = None) -> Proof:
    return prove(compose(bound(rules, shapes, wanted.names, config), wanted), headers(shapes), wanted)


def problems(error: PortError) -> str:
    return "\n".join(f"{p.where}: {p.problem} | {p.hint}" for p in error.problems)
