"""The closed set of ops, on shapes alone: concat split stack unstack transpose reshape slice, and pad, slice's inverse.

A move is a small circuit: tensors are numbered registers, and an op takes some registers and makes new ones. Each
register is taken exactly once, by an op or by a target. Every op but `slice` permutes elements without losing or
doubling one, so a circuit that keeps this discipline does too, at any size: that is what the proof rests on, and why it
needs shapes only. `slice` names what it cuts off and how that is restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

Shape = tuple[int, ...]


class OpError(ValueError):
    """An op that does not fit the shapes it is given."""


@dataclass(frozen=True)
class Restore:
    """How elements that are not ported come back: computed (`arange`, `full`), copied (`copy`) or kept (`stored`)."""

    kind: str  # "arange", "full", "copy", "stored"
    value: float | int | str = 0  # the fill value, or the key that holds the same tensor

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "value": self.value}


@dataclass(frozen=True)
class Op:
    """One step of a move; which of the arguments count depends on its name."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    axis: int = 0  # concat split stack unstack slice pad
    sizes: tuple[int, ...] = ()  # concat split: the parts' sizes along the axis
    perm: tuple[int, ...] = ()  # transpose: numpy's meaning, output axis i is input axis perm[i]
    before: Shape = ()  # reshape: the shape it takes; slice: the whole size along the axis, as (size,)
    shape: Shape = ()  # reshape: the shape it gives
    start: int = 0  # slice pad
    stop: int = 0  # slice pad
    restore: Restore | None = None  # slice pad

    def to_json(self) -> dict[str, Any]:
        """Only the arguments that count, so that equal ops are equal text."""
        body: dict[str, Any] = {"op": self.name, "in": list(self.inputs), "out": list(self.outputs)}
        for field in FIELDS[self.name]:
            value = getattr(self, field)
            body[field] = list(value) if isinstance(value, tuple) else value
        if self.restore is not None:
            body["restore"] = self.restore.to_json()
        return body

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Op:
        values: dict[str, Any] = {field: body[field] for field in FIELDS[body["op"]]}
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        restore = Restore(**body["restore"]) if "restore" in body else None
        return Op(body["op"], tuple(body["in"]), tuple(body["out"]), **values, restore=restore)


FIELDS: dict[str, tuple[str, ...]] = {
    "concat": ("axis", "sizes"),
    "split": ("axis", "sizes"),
    "stack": ("axis",),
    "unstack": ("axis",),
    "transpose": ("perm",),
    "reshape": ("before", "shape"),
    "slice": ("axis", "before", "start", "stop"),
    "pad": ("axis", "before", "start", "stop"),
}
_INVERSE = {
    "concat": "split",
    "split": "concat",
    "stack": "unstack",
    "unstack": "stack",
    "slice": "pad",
    "pad": "slice",
}


def inverse(op: Op) -> Op:
    """The op that undoes `op`, bit for bit."""
    turned = replace(op, name=_INVERSE.get(op.name, op.name), inputs=op.outputs, outputs=op.inputs)
    if op.name == "transpose":
        return replace(turned, perm=tuple(sorted(range(len(op.perm)), key=op.perm.__getitem__)))
    if op.name == "reshape":
        return replace(turned, before=op.shape, shape=op.before)
    return turned


def infer(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes of the op's outputs, given those of its inputs; raises OpError where they do not fit."""
    if len(shapes) != len(op.inputs):
        raise OpError(f"{op.name} takes {len(op.inputs)} tensors, not {len(shapes)}")
    outputs: list[Shape] = _INFER[op.name](op, shapes)
    if len(outputs) != len(op.outputs):
        raise OpError(f"{op.name} gives {len(outputs)} tensors, not {len(op.outputs)}")
    return outputs


def _axis(op: Op, rank: int) -> int:
    if not 0 <= op.axis < rank:
        raise OpError(f"{op.name}: there is no axis {op.axis} in {rank} dimensions")
    return op.axis


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _concat(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    axis = _axis(op, len(shapes[0]))
    for shape, size in zip(shapes, op.sizes, strict=True):
        if len(shape) != len(shapes[0]) or _with(shape, axis, 0) != _with(shapes[0], axis, 0) or shape[axis] != size:
            raise OpError(f"concat along axis {axis}: the shapes {' and '.join(map(show, shapes))} do not fit")
    return [_with(shapes[0], axis, sum(op.sizes))]


def _split(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    axis = _axis(op, len(shapes[0]))
    if sum(op.sizes) != shapes[0][axis] or min(op.sizes, default=0) < 0:
        parts = " + ".join(map(str, op.sizes))
        raise OpError(
            f"split along axis {axis}: {parts} = {sum(op.sizes)}, but {show(shapes[0])} has {shapes[0][axis]}"
        )
    return [_with(shapes[0], axis, size) for size in op.sizes]


def _stack(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    if len(set(shapes)) != 1:
        raise OpError(f"stack: the shapes {' and '.join(sorted(map(show, set(shapes))))} differ")
    axis = _axis(op, len(shapes[0]) + 1)
    return [(*shapes[0][:axis], len(shapes), *shapes[0][axis:])]


def _unstack(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    axis = _axis(op, len(shapes[0]))
    return [(*shapes[0][:axis], *shapes[0][axis + 1 :])] * shapes[0][axis]


def _transpose(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    if sorted(op.perm) != list(range(len(shapes[0]))):
        raise OpError(f"transpose {list(op.perm)} does not order the {len(shapes[0])} axes of {show(shapes[0])}")
    return [tuple(shapes[0][axis] for axis in op.perm)]


def _reshape(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    if shapes[0] != op.before or prod(op.shape) != prod(op.before) or min(op.shape, default=0) < 0:
        raise OpError(f"reshape to {show(op.shape)}: {show(shapes[0])} has {prod(shapes[0])} elements")
    return [op.shape]


def _slice(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    axis = _axis(op, len(shapes[0]))
    if op.before != (shapes[0][axis],) or not 0 <= op.start <= op.stop <= shapes[0][axis]:
        raise OpError(f"slice {op.start}:{op.stop} along axis {axis} does not lie inside {show(shapes[0])}")
    return [_with(shapes[0], axis, op.stop - op.start)]


def _pad(op: Op, shapes: Sequence[Shape]) -> list[Shape]:
    axis = _axis(op, len(shapes[0]))
    if shapes[0][axis] != op.stop - op.start or len(op.before) != 1 or op.stop > op.before[0]:
        raise OpError(f"pad along axis {axis}: {show(shapes[0])} is not the slice {op.start}:{op.stop}")
    return [_with(shapes[0], axis, op.before[0])]


_INFER = {
    "concat": _concat,
    "split": _split,
    "stack": _stack,
    "unstack": _unstack,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
    "pad": _pad,
}


def show(shape: Sequence[int]) -> str:
    """A shape for people: (768, 3072)."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
