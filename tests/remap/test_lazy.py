"""Tensors that are not computed yet: rows and blocks are those of the whole, and nothing whole is made for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portwright.remap import lazy
from portwright.remap.lazy import Joined, Lazy, Leaf, apply
from portwright.rules.ops import Op
from remap_harness import bound, export, remap, save, weights


@st.composite
def trees(draw: st.DrawFn) -> tuple[Lazy, np.ndarray[Any, Any]]:
    """A lazy tensor made by a few ops from arrays of distinct numbers, and the same made by numpy at once."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    count = draw(st.integers(1, 3))
    arrays = [np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 100 * i for i in range(count)]
    axis = draw(st.integers(0, len(shape) - 1))
    join = Op("concat", tuple(range(count)), (9,), axis=axis, sizes=(shape[axis],) * count)
    if draw(st.booleans()):
        join = Op("stack", tuple(range(count)), (9,), axis=axis)
    (tree,) = apply(join, [Leaf(array, "F32") for array in arrays])
    array = np.stack(arrays, axis) if join.name == "stack" else np.concatenate(arrays, axis)
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["transpose", "reshape", "slice"]))
        if kind == "transpose":
            op = Op("transpose", (0,), (1,), perm=tuple(draw(st.permutations(range(array.ndim)))))
            array = array.transpose(op.perm)
        elif kind == "reshape":
            size = draw(st.sampled_from([n for n in range(1, array.size + 1) if array.size % n == 0]))
            op = Op("reshape", (0,), (1,), before=array.shape, shape=(size, array.size // size))
            array = array.reshape(op.shape)
        else:
            axis = draw(st.integers(0, array.ndim - 1))
            start = draw(st.integers(0, array.shape[axis] - 1))
            op = Op("slice", (0,), (1,), axis=axis, before=(array.shape[axis],), start=start, stop=array.shape[axis])
            array = np.take(array, range(start, array.shape[axis]), axis)
        (tree,) = apply(op, [tree])
    return tree, array


@settings(deadline=None, max_examples=150)
@given(trees(), st.data())
def test_rows_and_blocks_are_those_of_the_whole(pair: tuple[Lazy, np.ndarray[Any, Any]], data: st.DataObject) -> None:
    """Any rows, and all blocks after each other, hold what the whole tensor holds there."""
    tree, array = pair
    assert tree.shape == array.shape
    assert np.array_equal(tree.whole(), array)
    start = data.draw(st.integers(0, array.shape[0]))
    stop = data.draw(st.integers(start, array.shape[0]))
    assert np.array_equal(tree.rows(start, stop), array[start:stop])
    assert np.array_equal(np.concatenate([block.reshape(-1) for block in tree.blocks()]), array.reshape(-1))


def test_experts_are_never_joined_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacked, then transposed and cut, experts still come out block by block."""
    monkeypatch.setattr(lazy, "BLOCK", 64)
    leaves = [Leaf(np.full((4, 6), i, np.float32), "F32") for i in range(5)]
    (stacked,) = apply(Op("stack", tuple(range(5)), (5,)), leaves)
    (turned,) = apply(Op("transpose", (5,), (6,), perm=(0, 2, 1)), [stacked])
    gate, up = apply(Op("split", (6,), (7, 8), axis=1, sizes=(2, 4)), [turned])
    monkeypatch.setattr(Joined, "whole", lambda self: pytest.fail("the whole was made"))
    for part, rows in ((gate, 2), (up, 4)):
        blocks = list(part.blocks())
        assert sum(block.size for block in blocks) == 5 * rows * 4
        assert max(block.nbytes for block in blocks) <= 64


def test_empty_and_scalar_tensors_are_ported(tmp_path: Any) -> None:
    """Tensors without elements or without axes are renamed and cast like others, and come back."""
    tensors = {
        "none": np.zeros((0, 3), np.float32),
        "one": np.float32(7).reshape(()),
        "zz": np.zeros((2, 0), np.float32),
    }
    save(tmp_path / "source", tensors)
    binding = bound(tmp_path / "source", "schema = 1", tensors)
    for dtype in (None, "float16"):
        remap(binding, tmp_path / "source", tmp_path / "port", dtype=dtype)
        found = weights(tmp_path / "port")
        assert {key: array.shape for key, array in found.items()} == {
            key: array.shape for key, array in tensors.items()
        }
        export(tmp_path / "port", tmp_path / "back")
        assert (tmp_path / "back/model.safetensors").read_bytes() == (
            tmp_path / "source/model.safetensors"
        ).read_bytes()
