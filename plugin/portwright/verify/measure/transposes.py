"""Count the transposes of a port's MLX graph that change a layout, beside the fewest that its arguments allow.

A convolution network runs channels-last inside and is called channels-first: it needs one transpose for each image that
enters and one for each that leaves. Any other that moves the channels is shuffling inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from portwright.nesting import nested
from portwright.verify.measure.port import Array, argument_titles, named_outputs, to_mlx

# What computes new channels from old ones: behind it, a value is no longer an argument that merely changed its shape.
MIXING = frozenset({"Convolution", "Matmul", "AddMM", "QuantizedMatmul", "GatherMM", "GatherQMM", "Gather"})
SIDES = ("inputs", "outputs")


@dataclass(frozen=True)
class Node:
    """One primitive of a graph: the names of the arrays that it reads and makes; the axes of a Transpose."""

    primitive: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """The MLX graph of one call, in the order in which it computes; inputs and outputs with their ranks."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    nodes: tuple[Node, ...]


def counted(graph: Graph) -> dict[str, int] | None:
    """`transposes` that move channels, the `minimum` at the borders, and `other` ones; None without a convolution.

    Transposes of weights are none of these. `other` are heads of attention, factors of products, and what the layers
    of mlx.nn do inside.
    """
    if not any(node.primitive == "Convolution" for node in graph.nodes):
        return None
    computed = set(graph.inputs)
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if computed.intersection(node.inputs):
            computed.update(node.outputs)
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    moved = [n for n in graph.nodes if n.primitive == "Transpose" and n.inputs[0] in computed and is_moved(n.axes)]
    layout = {n.outputs[0] for n in moved if changes_layout(n, readers.get(n.outputs[0], []))}
    makers = {name: (node,) for node in graph.nodes for name in node.outputs}
    into = [met(n, lambda name: readers.get(name, ()), layout, True) for n, rank in graph.inputs.items() if rank > 2]
    out = [met(n, lambda name: makers.get(name, ()), layout, False) for n, rank in graph.outputs.items() if rank > 2]
    return {
        "transposes": len(layout),
        "minimum": sum(min(sum(map(bool, side)), len(set().union(*side))) for side in (into, out)),
        "other": len(moved) - len(layout),
    }


def traced(model: nn.Module, tensors: Mapping[str, Array], kwargs: Mapping[str, Any], dtype: Any = None) -> Graph:
    """The graph of one call of a whole model; nothing is computed."""
    titles = argument_titles(model)
    names = [titles.get(name, name) for name in tensors]

    def call(*arrays: mx.array) -> list[mx.array]:
        return list(named_outputs(model(**nested({**dict(zip(names, arrays, strict=True)), **kwargs}))).values())

    events: list[dict[str, Any]] = []
    mx.export_function(events.append, call, *[to_mlx(value, dtype) for value in tensors.values()])
    ranks = {e["type"]: {name: len(shape) for name, shape, _ in e[e["type"]]} for e in events if e["type"] in SIDES}
    return Graph(ranks["inputs"], ranks["outputs"], tuple(_node(e) for e in events if e["type"] == "primitive"))


def is_moved(axes: tuple[int, ...]) -> bool:
    """Whether a transpose of a rank that can hold channels changes anything."""
    return len(axes) > 2 and axes != tuple(range(len(axes)))


def changes_layout(node: Node, readers: Sequence[Node]) -> bool:
    """Whether a transpose takes channels behind the places, or back; what only a product reads is its factor."""
    rank = len(node.axes)
    if node.axes not in ((0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))):
        return False
    factor = bool(readers) and all(reader.primitive in MIXING - {"Convolution"} for reader in readers)
    return rank > 3 or not factor


def met(start: str, step: Callable[[str], Iterable[Node]], layout: set[str], forwards: bool) -> set[str]:
    """The layout transposes between the border and whatever first computes with channels."""
    found, seen, waiting = set(), {start}, [start]
    while waiting:
        name = waiting.pop()
        if name in layout:
            found.add(name)
            continue
        for node in step(name):
            if node.primitive not in MIXING:
                fresh = set(node.outputs if forwards else node.inputs) - seen
                seen |= fresh
                waiting += fresh
    return found


def _node(event: Mapping[str, Any]) -> Node:
    names = {side: tuple(name for name, *_ in event[side]) for side in SIDES}
    axes = tuple(event["arguments"][0]) if event["name"] == "Transpose" else ()
    return Node(event["name"], names["inputs"], names["outputs"], axes)
