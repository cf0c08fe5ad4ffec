"""Nested arguments and results as JSON beside a store of tensors, and results as a flat list of named tensors.

A tree node is {"t": id} for a tensor, {"v": value} for a JSON constant, {"l": [...]} or {"u": [...]} for a list
or tuple, {"d": {...}} for a dict, and {"o": type name} for what cannot be handed to a port (a cache, a config).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Node = dict[str, Any]


def encode(value: Any, is_tensor: Callable[[Any], bool], store: Callable[[Any], str]) -> Node:
    """Turn a value into a node; `store` takes a tensor and gives its id."""
    if is_tensor(value):
        return {"t": store(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"v": value}
    if isinstance(value, Mapping):
        return {"d": {str(k): encode(v, is_tensor, store) for k, v in value.items()}}
    if isinstance(value, (list, tuple)):
        return {"l" if isinstance(value, list) else "u": [encode(v, is_tensor, store) for v in value]}
    return {"o": type(value).__name__}


def encode_result(value: Any, is_tensor: Callable[[Any], bool], store: Callable[[Any], str]) -> Node:
    """Turn a result into a node: the fields of a mapping in their order, as a tuple, since JSON's objects are sorted.

    Fields that hold None, or what cannot be handed to a port, take no place.
    """
    if isinstance(value, Mapping):
        made = [encode_result(v, is_tensor, store) for v in value.values() if v is not None]
        return {"u": [node for node in made if "o" not in node]}
    if isinstance(value, (list, tuple)):
        return {"l" if isinstance(value, list) else "u": [encode_result(v, is_tensor, store) for v in value]}
    return encode(value, is_tensor, store)


def decode(node: Node, load: Callable[[str], Any]) -> Any:
    """Turn a node back into a value; an opaque node raises TypeError with its type's name."""
    kind, content = next(iter(node.items()))
    if kind == "t":
        return load(content)
    if kind == "v":
        return content
    if kind == "d":
        return {k: decode(v, load) for k, v in content.items()}
    if kind in "lu":
        made = [decode(v, load) for v in content]
        return made if kind == "l" else tuple(made)
    raise TypeError(content)


def holds_opaque(node: Node) -> bool:
    """Whether a node, or one within it, stands for what cannot be handed to a port."""
    kind, content = next(iter(node.items()))
    inner = content.values() if kind == "d" else content if kind in "lu" else ()
    return kind == "o" or any(map(holds_opaque, inner))


def flatten(value: Any, is_tensor: Callable[[Any], bool], prefix: str = "") -> dict[str, Any]:
    """Name the tensors of a result in order, "000", "001", "002.000"; None and other objects take no number."""
    if is_tensor(value):
        return {prefix or "000": value}
    if hasattr(value, "to_tuple"):
        value = value.to_tuple()
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return {}
    found: dict[str, Any] = {}
    number = 0
    for item in value:
        name = f"{prefix}.{number:03d}" if prefix else f"{number:03d}"
        inner = flatten(item, is_tensor, name)
        number += bool(inner)
        found |= inner
    return found
