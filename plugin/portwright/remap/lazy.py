"""Tensors that are not computed until they are written, and then block by block: views of mapped files, joined or cut.

Whatever the model's size, what is in memory at once is a block; only what is cut or transposed after a reshape that
numpy cannot express as a view must be held whole, which is one tensor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DTYPES
from ..gguf.blocks import dequantize
from ..rules.ops import Op, Restore, Shape
from ..tensorfile import TensorFile
from .cast import cast

Array = NDArray[Any]
BLOCK = 4 << 20  # bytes of source that are cast and written at once


@dataclass(frozen=True)
class Run:
    """Bytes start..stop of a file, to be copied as they are."""

    file: TensorFile
    start: int
    stop: int


@dataclass(frozen=True)
class Leaf:
    """A numpy array, mostly a view of a mapped file; `origin` says where its bytes lie while they are contiguous."""

    array: Array
    code: str
    origin: tuple[TensorFile, int] | None = None

    @property
    def shape(self) -> Shape:
        return self.array.shape

    def blocks(self) -> Iterator[Array]:
        yield from _blocks_of(self.array)

    def rows(self, start: int, stop: int) -> Array:
        return self.array[start:stop]

    def whole(self) -> Array:
        return self.array


@dataclass(frozen=True)
class Joined:
    """Several tensors side by side along an axis."""

    parts: tuple[Lazy, ...]
    axis: int
    shape: Shape

    @property
    def code(self) -> str:
        return self.parts[0].code

    def blocks(self) -> Iterator[Array]:
        if self.axis == 0:
            for part in self.parts:
                yield from part.blocks()
            return
        rows = self.shape[0]
        step = max(1, BLOCK * rows // max(1, prod(self.shape) * DTYPES[self.code].bits // 8))
        for start in range(0, rows, step):
            yield self.rows(start, min(rows, start + step))

    def rows(self, start: int, stop: int) -> Array:
        if self.axis > 0:
            return np.concatenate([part.rows(start, stop) for part in self.parts], self.axis)
        pieces = [part.rows(a, b) for part, a, b in self.overlaps(start, stop)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [self.parts[0].rows(0, 0)])

    def overlaps(self, start: int, stop: int) -> Iterator[tuple[Lazy, int, int]]:
        """The parts that hold start..stop of the joined axis, each with its own begin and end."""
        begin = 0
        for part in self.parts:
            size = part.shape[self.axis]
            first, last = max(start - begin, 0), min(stop - begin, size)
            if first < last:
                yield part, first, last
            begin += size

    def whole(self) -> Array:
        return np.concatenate([part.whole() for part in self.parts], self.axis)


@dataclass(frozen=True)
class Reshaped:
    """A tensor whose elements keep their order but not their grouping."""

    inner: Lazy
    shape: Shape

    @property
    def code(self) -> str:
        return self.inner.code

    def blocks(self) -> Iterator[Array]:
        yield from self.inner.blocks()

    def rows(self, start: int, stop: int) -> Array:
        """The same elements are some rows of the inner tensor, from the middle of one to the middle of another."""
        mine, theirs = prod(self.shape[1:]), prod(self.inner.shape[1:])
        if not self.inner.shape or not theirs:
            return self.whole()[start:stop]
        first, last = start * mine // theirs, -(-stop * mine // theirs)
        flat = self.inner.rows(first, last).reshape(-1)[start * mine - first * theirs :]
        return flat[: (stop - start) * mine].reshape(stop - start, *self.shape[1:])

    def whole(self) -> Array:
        return self.inner.whole().reshape(self.shape)


@dataclass(frozen=True)
class Decoded:
    """A tensor that a file holds as blocks: rows of bytes, decoded when they are read."""

    raw: Array  # uint8, (..., bytes of a row)
    code: str
    shape: Shape
    decode: Callable[[Array], Array]  # rows of bytes to rows of numbers

    def blocks(self) -> Iterator[Array]:
        rows = self.shape[0]
        step = max(1, BLOCK * rows // max(1, prod(self.shape) * DTYPES[self.code].bits // 8))
        for start in range(0, rows, step):
            yield self.rows(start, min(rows, start + step))

    def rows(self, start: int, stop: int) -> Array:
        return self.decode(self.raw[start:stop]).reshape(-1, *self.shape[1:])

    def whole(self) -> Array:
        return self.rows(0, self.shape[0])


Lazy = Leaf | Joined | Reshaped | Decoded


def open_leaf(file: TensorFile, key: str) -> Leaf | Decoded:
    """A tensor of a file, not read yet. Types narrower than a byte appear as bytes, and can only be renamed."""
    info = file.header.tensors[key]
    if info.packed:
        raw = raw_blocks(file, key)
        return Decoded(raw, info.dtype, info.shape, partial(dequantize, packed=info.packed))
    start, _ = file.span(key)
    kind = DTYPES[info.dtype].numpy or "uint8"
    raw = np.frombuffer(file.mapped, np.uint8, count=info.end - info.start, offset=start)
    array = raw.view(kind)
    if DTYPES[info.dtype].numpy:
        array = array.reshape(info.shape)
    return Leaf(array, info.dtype, (file, start))


def raw_blocks(file: TensorFile, key: str) -> Array:
    """The bytes of a tensor of blocks by rows: (..., bytes of a row). Blocks never reach over a row's end."""
    info = file.header.tensors[key]
    start, _ = file.span(key)
    raw = np.frombuffer(file.mapped, np.uint8, count=info.end - info.start, offset=start)
    return raw.reshape(*info.shape[:-1], -1) if raw.size else raw.reshape(*info.shape[:-1], 0)


def apply(op: Op, inputs: Sequence[Lazy]) -> list[Lazy]:
    """One op of a circuit on tensors that are not computed yet."""
    first = inputs[0]
    match op.name:
        case "concat":
            return [_joined(inputs, op.axis)]
        case "stack":
            return [_joined([_reshaped(part, _widened(part.shape, op.axis)) for part in inputs], op.axis)]
        case "split":
            edges = np.cumsum([0, *op.sizes])
            return [_cut(first, op.axis, int(a), int(b)) for a, b in itertools.pairwise(edges)]
        case "unstack":
            narrowed = (*first.shape[: op.axis], *first.shape[op.axis + 1 :])
            count = first.shape[op.axis]
            return [_reshaped(_cut(first, op.axis, i, i + 1), narrowed) for i in range(count)]
        case "slice":
            return [_cut(first, op.axis, op.start, op.stop)]
        case "transpose":
            return [_transposed(first, op.perm)]
        case "reshape":
            return [_reshaped(first, op.shape)]
        case "pad":
            return [_padded(first, op)]
    raise ValueError(op.name)


def _widened(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 1, *shape[axis:])


def _joined(parts: Sequence[Lazy], axis: int) -> Lazy:
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return parts[0] if len(parts) == 1 else Joined(tuple(parts), axis, tuple(shape))


def _reshaped(lazy: Lazy, shape: Shape) -> Lazy:
    if isinstance(lazy, Leaf):
        moved = lazy.array.reshape(shape)
        if np.shares_memory(moved, lazy.array) or moved.size == 0:
            return Leaf(moved, lazy.code, lazy.origin)
    return Reshaped(lazy, shape)


def _transposed(lazy: Lazy, perm: Shape) -> Lazy:
    if isinstance(lazy, Joined):
        return _joined([_transposed(part, perm) for part in lazy.parts], perm.index(lazy.axis))
    return Leaf(lazy.whole().transpose(perm), lazy.code)


def _cut(lazy: Lazy, axis: int, start: int, stop: int) -> Lazy:
    if isinstance(lazy, Joined):
        if axis != lazy.axis:
            return _joined([_cut(part, axis, start, stop) for part in lazy.parts], lazy.axis)
        parts = [_cut(part, axis, a, b) for part, a, b in lazy.overlaps(start, stop)]
        return _joined(parts or [_cut(lazy.parts[0], axis, 0, 0)], axis)
    array = lazy.whole()
    view = array[(slice(None),) * axis + (slice(start, stop),)]
    origin = None
    if isinstance(lazy, Leaf) and lazy.origin is not None and view.flags.c_contiguous and view.size:
        origin = (lazy.origin[0], lazy.origin[1] + view.ctypes.data - array.ctypes.data)
    return Leaf(view, lazy.code, origin)


def _padded(lazy: Lazy, op: Op) -> Lazy:
    """The inverse of slice: what was cut off comes back as `restore` says."""
    restore = op.restore or Restore("full", 0)
    before, after = list(lazy.shape), list(lazy.shape)
    before[op.axis], after[op.axis] = op.start, op.before[0] - op.stop
    ends = [Leaf(filled(tuple(shape), lazy.code, float(restore.value)), lazy.code) for shape in (before, after)]
    parts = [part for part in (ends[0], lazy, ends[1]) if part.shape[op.axis]]
    return _joined(parts or [lazy], op.axis)


def filled(shape: Shape, code: str, value: float) -> Array:
    """An array of one value, in the bits of dtype `code`."""
    kind = DTYPES[code]
    if kind.kind == "float" and kind.bits < 32:
        return np.full(shape, cast(np.full(1, value, np.float32), "F32", code)[0])
    return np.full(shape, value, kind.numpy)


def stream(lazy: Lazy, code: str) -> Iterator[Run | Array]:
    """The bytes of a tensor in order, as dtype `code`: runs to be copied where nothing but the name changes."""
    if lazy.code == code:
        yield from _runs(lazy)
        return
    for block in lazy.blocks():
        yield np.ascontiguousarray(cast(block, lazy.code, code))


def _runs(lazy: Lazy) -> Iterator[Run | Array]:
    if isinstance(lazy, Leaf) and lazy.origin is not None and lazy.array.flags.c_contiguous:
        file, start = lazy.origin
        yield Run(file, start, start + lazy.array.nbytes)
    elif isinstance(lazy, Joined) and lazy.axis == 0:
        for part in lazy.parts:
            yield from _runs(part)
    elif isinstance(lazy, Reshaped):
        yield from _runs(lazy.inner)
    else:
        for block in lazy.blocks():
            yield np.ascontiguousarray(block)


def _blocks_of(array: Array) -> Iterator[Array]:
    """An array in pieces of about BLOCK bytes, in the order of its elements."""
    if array.nbytes <= BLOCK or array.ndim == 0:
        yield array
    elif array.shape[0] > 0:
        row = array.nbytes // array.shape[0]
        if row > BLOCK:
            for index in range(array.shape[0]):
                yield from _blocks_of(array[index])
        else:
            step = max(1, BLOCK // row)
            for start in range(0, array.shape[0], step):
                yield array[start : start + step]
