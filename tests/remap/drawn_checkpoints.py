"""Draw random rules with the checkpoint that they read, and an independent reading of what they should give."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]
Grid = dict[tuple[int, int], Array]  # (index of the folded or unstacked capture, index in the list) -> tensor


@dataclass
class Drawn:
    """A rules file, its checkpoint, and what each target must hold."""

    rules: str = "schema = 1\n"
    tensors: dict[str, Array] = field(default_factory=dict)
    expected: dict[str, Array] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)


@st.composite
def checkpoints(draw: st.DrawFn) -> Drawn:
    """One to three mapping rules over layers, and some drops; every tensor's elements are distinct."""
    drawn = Drawn()
    for number in range(draw(st.integers(1, 3))):
        _add_rule(draw, drawn, f"part{number}")
    for number in range(draw(st.integers(0, 2))):
        _add_drop(draw, drawn, f"buffer{number}")
    drawn.tensors["own.name"] = _fresh(draw, drawn, (2,))
    drawn.expected["own.name"] = drawn.tensors["own.name"]
    drawn.wanted |= set(drawn.expected)
    return drawn


def _fresh(draw: st.DrawFn, drawn: Drawn, shape: tuple[int, ...]) -> Array:
    kind = draw(st.sampled_from(["float32", "float16", "int64", "uint8"])) if len(drawn.tensors) % 7 == 6 else "float32"
    start = sum(array.size for array in drawn.tensors.values())
    return (np.arange(prod(shape)) + start).astype(kind).reshape(shape)


def _add_rule(draw: st.DrawFn, drawn: Drawn, name: str) -> None:
    folds = draw(st.integers(1, 3)) if draw(st.booleans()) else 0
    listed = draw(st.integers(2, 3)) if draw(st.booleans()) else 0
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    letters = "abc"[: listed or 1]
    layers = draw(st.integers(1, 2))
    match = [f"{name}.{{i}}{'.{e}' if folds else ''}.{letter}.w" for letter in letters]
    kind = draw(st.sampled_from(["float32", "float16", "int64", "uint8"]))
    grids: list[Grid] = []
    for layer in range(layers):
        grid: Grid = {}
        for fold, at in product(range(folds or 1), range(listed or 1)):
            key = f"{name}.{layer}{f'.{fold}' if folds else ''}.{letters[at]}.w"
            start = sum(array.size for array in drawn.tensors.values())
            grid[fold, at] = (np.arange(prod(shape)) + start).astype(kind).reshape(shape)
            drawn.tensors[key] = grid[fold, at]
        grids.append(grid)
    ops: list[str] = []
    opened = False
    while len(ops) < 5:
        choices: list[str] = ["transpose", "reshape", "slice"]
        choices += ["concat list", "stack list"] if listed else []
        choices += ["concat fold", "stack fold"] if folds else []
        choices += [] if listed else ["split"]
        choices += [] if listed or folds or opened else ["unstack"]
        scalar = next(iter(grids[0].values())).ndim == 0
        if scalar or (not folds and draw(st.integers(0, 2)) == 0):
            break
        op, apply = _draw_op(draw, draw(st.sampled_from(choices)), grids[0])
        name_of_op = op.split(" ")[1]
        if name_of_op in ("concat", "stack"):
            listed, folds = (listed, 0) if "over" in op else (0, folds)
        if name_of_op == "split":
            listed = len(apply(grids[0]))
        opened = opened or name_of_op == "unstack"
        grids = [apply(grid) for grid in grids]
        ops.append(op)
    if folds:  # every folded capture must be joined in the end
        op, apply = _draw_op(draw, "stack fold", grids[0])
        grids = [apply(grid) for grid in grids]
        ops.append(op)
    width = max(at for _, at in grids[0]) + 1
    to = [f"new.{name}.{{i}}{'.{u}' if opened else ''}.{at}" for at in range(width)]
    for layer, grid in enumerate(grids):
        for (up, at), array in grid.items():
            drawn.expected[f"new.{name}.{layer}{f'.{up}' if opened else ''}.{at}"] = array
    drawn.rules += f"[[rule]]\nmatch = {json.dumps(match if len(match) > 1 else match[0])}\n"
    drawn.rules += f"to = {json.dumps(to if len(to) > 1 else to[0])}\nops = [{', '.join(ops)}]\n"


def _draw_op(draw: st.DrawFn, name: str, grid: Grid) -> tuple[str, Callable[[Grid], Grid]]:
    """An op as TOML, and what it does to a grid, in numpy."""
    shape = next(iter(grid.values())).shape
    same = len({array.shape for array in grid.values()}) == 1
    empty = name == "unstack" and 0 in shape
    if name == "transpose" or empty or (not same and "fold" not in name):
        perm = draw(st.permutations(range(len(shape))))
        return f"{{ transpose = {perm} }}", lambda g: {k: a.transpose(perm) for k, a in g.items()}
    if name == "reshape":
        new = draw(st.sampled_from(_groupings(prod(shape))))
        shown = ["rest" if i == 0 and prod(new[1:]) else n for i, n in enumerate(new)]
        return f"{{ reshape = {json.dumps(shown)} }}", lambda g: {k: a.reshape(new) for k, a in g.items()}
    axis = draw(st.integers(0, len(shape) - 1)) if shape else 0
    cut = (slice(None),) * axis
    if name == "slice":
        start = draw(st.integers(0, shape[axis]))
        stop = draw(st.integers(start, shape[axis]))
        why = 'reason = "x", restore = { stored = true }'
        toml = f"{{ slice = {{ axis = {axis}, start = {start}, stop = {stop}, {why} }} }}"
        return toml, lambda g: {k: a[(*cut, slice(start, stop))] for k, a in g.items()}
    if name == "split":
        size = draw(st.integers(0, shape[axis]))
        toml = f'{{ split = {{ axis = {axis}, sizes = [{size}, "rest"] }} }}'
        return toml, lambda g: {
            (k[0], at): a[(*cut, part)]
            for k, a in g.items()
            for at, part in enumerate((slice(size), slice(size, None)))
        }
    if name == "unstack":
        toml = f'{{ unstack = {{ axis = {axis}, over = "u" }} }}'
        return toml, lambda g: {
            (u, k[1]): np.asarray(np.take(a, u, axis)) for k, a in g.items() for u in range(shape[axis])
        }
    join, over = name.split(" ")
    place = 0 if over == "fold" else 1
    stacked = draw(st.integers(0, len(shape))) if join == "stack" else axis
    joined: Callable[..., Array] = np.stack if join == "stack" else np.concatenate

    def apply(g: Grid) -> Grid:
        groups: dict[tuple[int, int], list[Array]] = {}
        for key in sorted(g):
            left = (0, key[1]) if place == 0 else (key[0], 0)
            groups.setdefault(left, []).append(g[key])
        return {key: joined(arrays, stacked) for key, arrays in groups.items()}

    suffix = ', over = "e"' if over == "fold" else ""
    return f"{{ {join} = {{ axis = {stacked}{suffix} }} }}", apply


def _groupings(count: int) -> list[tuple[int, ...]]:
    pairs = [(a, count // a) for a in range(1, count + 1) if count % a == 0]
    return [(count,), *pairs, *((1, *pair) for pair in pairs)] if count else [(0,), (0, 2), (3, 0)]


def _add_drop(draw: st.DrawFn, drawn: Drawn, name: str) -> None:
    kind = draw(st.sampled_from(["arange", "full", "copy", "stored"]))
    if kind == "arange":
        drawn.tensors[name] = np.broadcast_to(np.arange(5), (2, 5)).copy()
    elif kind == "full":
        drawn.tensors[name] = np.full((3, 2), 1, np.float32)
    elif kind == "copy":
        drawn.tensors[name] = drawn.tensors[next(iter(drawn.tensors))].copy()
    else:
        drawn.tensors[name] = np.arange(6, dtype=np.int16)
    value = {"arange": "5", "full": "1", "copy": f'"{next(iter(drawn.tensors))}"', "stored": "true"}[kind]
    drawn.rules += f'[[rule]]\nmatch = "{name}"\ndrop = {{ reason = "x", restore = {{ {kind} = {value} }} }}\n'
