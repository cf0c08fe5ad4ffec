"""Gathering and scattering by index."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, quote
from portwright.codegen.translate.registry import Layout, Operation, row, template

GATHERED = '''def gathered(x, axis, index):
    """The values that an index names along one axis; on the others only as far as the index reaches."""
    reach = [slice(None) if a == axis % x.ndim else slice(n) for a, n in enumerate(index.shape)]
    return mx.take_along_axis(x[tuple(reach)], index, axis=axis)
'''
SNIPPETS = {"gathered": GATHERED}


@row("gather", "input dim index", Layout.AXIS)
def gather(op: Operation) -> ast.expr:
    """torch reads only as far as the index reaches on the other axes; MLX wants them equal or one."""
    dim, rank = op.value("dim"), op.rank()
    inputs, indices = (op.scope.seen(op.raw[k]).shapes for k in ("input", "index"))
    others = [i for i in range(rank) if i != dim % rank]
    axis = op.axis()
    assert axis is not None
    if all(any(all(a[i] == b[i] for i in others) for a in inputs) for b in indices):
        return call("mx.take_along_axis", op["input"], op["index"], axis=axis)
    return ask(call("gathered", op["input"], axis, op["index"]), Demand("snippet", "gathered"))


template("take_along_dim", "input indices dim", "mx.take_along_axis(input, indices, axis=dim)")


@row("index_select", "input dim index", Layout.AXIS)
def index_select(op: Operation) -> ast.expr:
    return call("mx.take", op["input"], op["index"], axis=op.axis())


@row("select", "input dim index")
def select(op: Operation) -> ast.expr:
    return along(op, op["index"])


@row("narrow", "input dim start length")
def narrow(op: Operation) -> ast.expr:
    end = quote("s + n", s=op["start"], n=op["length"])
    return along(op, ast.Slice(op["start"], end))


def along(op: Operation, index: ast.expr) -> ast.expr:
    """An index on one axis: counted from the front, or from the back where the rank varies and the axis is so given."""
    dim, rank = op.value("dim"), op.scope.rank(op.raw["input"])
    if rank is None and dim < 0:
        parts: list[ast.expr] = [ast.Constant(...), index, *(ast.Slice() for _ in range(-1 - dim))]
    else:
        parts = [*(ast.Slice() for _ in range(dim if rank is None else dim % rank)), index]
    return ast.Subscript(op["input"], ast.Tuple(parts, ast.Load()) if len(parts) > 1 else parts[0], ast.Load())


@row("one_hot", "tensor num_classes")
def one_hot(op: Operation) -> ast.expr:
    return quote("(x[..., None] == mx.arange(n)).astype(mx.int32)", x=op["tensor"], n=op["num_classes"])


@row("scatter scatter_", "input dim index src=None value=None")
def scatter(op: Operation) -> ast.expr:
    """Values put where an index says along one axis; torch's index may be smaller on the others, MLX's may not."""
    dim, rank = op.value("dim"), op.rank()
    given = "src" if op.get("src") is not None else "value"
    for a, b in zip(op.scope.seen(op.raw["input"]).shapes, op.scope.seen(op.raw["index"]).shapes, strict=False):
        if any(a[i] != b[i] for i in range(rank) if i != dim % rank):
            raise HoleError("scatter with an index that is smaller on other axes")
    value = op[given]
    if op.kinds(given) != {"tensor"}:
        value = call("mx.array", value)
    elif op.scope.seen(op.raw[given]).shapes != op.scope.seen(op.raw["index"]).shapes:
        raise HoleError("scatter of values of another shape than the index")
    return call("mx.put_along_axis", op["input"], op["index"], value, axis=op.axis())
