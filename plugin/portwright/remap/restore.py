"""What is not ported, and how it comes back: check before writing that `restore` really gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from ..dtypes import DTYPES
from ..errors import Problem
from ..records import TensorInfo
from ..rules.moves import Binding, Drop, Move
from ..rules.ops import Op, Restore
from .cast import cast
from .lazy import BLOCK, Array, Lazy, apply, filled


def restored(restore: Restore, info: TensorInfo) -> Array:
    """The tensor that `arange` or `full` gives back, in the bits of its dtype."""
    if restore.kind == "full":
        return filled(info.shape, info.dtype, float(restore.value))
    row = np.arange(int(restore.value))
    kind = DTYPES[info.dtype]
    if kind.floating:
        numbers = cast(row.astype(np.float64), "F64", info.dtype) if kind.bits < 64 else row.astype(np.float64)
    else:
        numbers = row.astype(kind.numpy)
    return np.broadcast_to(numbers, info.shape)


def restore_problems(binding: Binding, source: Callable[[str], Lazy]) -> Iterator[Problem]:
    """Every drop or slice whose bytes are not what its restore would give."""
    for drop in binding.drops:
        yield from _drop_problems(drop, binding, source)
    for move in binding.moves:
        if any(op.name == "slice" for op in move.ops):
            yield from _slice_problems(move, source)


def _drop_problems(drop: Drop, binding: Binding, source: Callable[[str], Lazy]) -> Iterator[Problem]:
    kind, info = drop.restore.kind, binding.headers[drop.source]
    if kind == "stored":
        return
    given = source(drop.source).whole()
    expected = source(str(drop.restore.value)).whole() if kind == "copy" else restored(drop.restore, info)
    where = first_difference(given, expected)
    if where is not None:
        told = f"{drop.source!r} is not what restore = {{ {kind} = {drop.restore.value} }} gives back: {where}"
        yield Problem(drop.rule, told, "use restore = { stored = true }, or map the tensor: it may carry weights")


def _slice_problems(move: Move, source: Callable[[str], Lazy]) -> Iterator[Problem]:
    registers: dict[int, Lazy] = {index: source(key) for index, key in enumerate(move.sources)}
    for op in move.ops:
        inputs = [registers.pop(register) for register in op.inputs]
        if op.name == "slice" and op.restore is not None and op.restore.kind == "full":
            yield from _cut_off_problems(op, inputs[0], move)
        registers.update(zip(op.outputs, apply(op, inputs), strict=True))


def _cut_off_problems(op: Op, lazy: Lazy, move: Move) -> Iterator[Problem]:
    assert op.restore is not None
    array = lazy.whole()
    for part in (slice(0, op.start), slice(op.stop, None)):
        cut = array[(slice(None),) * op.axis + (part,)]
        where = first_difference(cut, filled(cut.shape, lazy.code, float(op.restore.value))) if cut.size else None
        if where is not None:
            told = f"what slice cuts off {move.sources[0]!r} is not {op.restore.value} everywhere: {where}"
            yield Problem(move.rule, told, "use restore = { stored = true }, or keep it: it may carry weights")


def first_difference(given: Array, expected: Array) -> str | None:
    """Where two tensors differ in their bits first, in words; None where they are equal."""
    one, other = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (given, expected))
    if one.shape != other.shape:
        return f"{prod(given.shape)} elements against {prod(expected.shape)}"
    for start in range(0, one.size, BLOCK):
        different = np.flatnonzero(one[start : start + BLOCK] != other[start : start + BLOCK])
        if different.size:
            break
    else:
        return None
    index = (start + int(different[0])) // given.itemsize
    left, right = np.ascontiguousarray(given).reshape(-1)[index], np.ascontiguousarray(expected).reshape(-1)[index]
    return f"element {index} is {left}, not {right}"
