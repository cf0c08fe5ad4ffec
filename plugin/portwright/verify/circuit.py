"""Run a move's ops on real arrays: the verifier's own reading of moves.json, apart from the remap's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def run_move(move: Mapping[str, Any], sources: Sequence[Array]) -> dict[str, Array]:
    """Apply one move (as moves.json holds it) to its source arrays; gives the targets by key. Views where possible."""
    registers: dict[int, Array] = dict(enumerate(sources))
    for op in move["ops"]:
        made = apply(op, [registers.pop(r) for r in op["in"]])
        registers |= dict(zip(op["out"], made, strict=True))
    return {target["key"]: registers[target["register"]] for target in move["targets"]}


def apply(op: Mapping[str, Any], inputs: Sequence[Array]) -> list[Array]:
    """Apply one op; raises ValueError where it does not fit the arrays or is not known."""
    name, first = op["op"], inputs[0]
    axis = op.get("axis", 0)
    match name:
        case "transpose":
            return [first.transpose(op["perm"])]
        case "reshape":
            return [first.reshape(op["shape"])]
        case "concat":
            return [np.concatenate(inputs, axis)]
        case "stack":
            return [np.stack(inputs, axis)]
        case "unstack":
            return [np.take(first, i, axis) for i in range(first.shape[axis])]
        case "split":
            return np.split(first, np.cumsum(op["sizes"])[:-1], axis)
        case "slice":
            return [np.take(first, range(op["start"], op["stop"]), axis)]
    raise ValueError(f"op {name!r} moves no bytes of a checkpoint into a port")


def forward(ops: Sequence[Mapping[str, Any]], sources: Sequence[Array]) -> Array:
    """Make a port's parameter from the reference's tensors by a portmap's ops, or raise ValueError."""
    parts = list(sources)
    for op in ops:
        (name, setting), *_ = op.items()
        if name == "transpose":
            parts = [part.transpose(setting) for part in parts]
        elif name == "reshape":
            parts = [part.reshape(setting) for part in parts]
        elif name == "stack":
            parts = [np.stack(parts, _axis(setting))]
        elif name == "concat":
            parts = [np.concatenate(parts, _axis(setting))]
        else:
            raise ValueError(f"portmap op {name!r} is not known here")
    if len(parts) != 1:
        raise ValueError(f"the ops leave {len(parts)} tensors")
    return parts[0]


def undo(ops: Sequence[Mapping[str, Any]], value: Array, shapes: Sequence[Sequence[int]]) -> list[Array]:
    """Give back the reference's tensors from a port's parameter: a portmap's ops, undone from the last to the first.

    `shapes` are the shapes of the reference's tensors in the order of the portmap's `from`.
    """
    parts = [value]
    for op in reversed(ops):
        (name, setting), *_ = op.items()
        if name == "transpose":
            parts = [part.transpose(np.argsort(setting)) for part in parts]
        elif name == "reshape":
            parts = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        elif name == "stack":
            parts = [np.take(part, i, _axis(setting)) for part in parts for i in range(part.shape[_axis(setting)])]
        elif name == "concat":
            axis = _axis(setting)
            cuts = np.cumsum([shape[axis] for shape in shapes])[:-1]
            parts = [piece for part in parts for piece in np.split(part, cuts, axis)]
        else:
            raise ValueError(f"portmap op {name!r} has no inverse here")
    return parts


def _axis(setting: Any) -> int:
    return int(setting["axis"] if isinstance(setting, Mapping) else setting)
