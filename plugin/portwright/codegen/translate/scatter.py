"""Rows that put or add values where an index or a mask says, and that ask which places or values there are."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, literal, quote
from portwright.codegen.translate.registry import Layout, Operation, row
from portwright.codegen.translate.windows import carried, nonzero

ALONG = '''def places_along(index, axis):
    """Where each number of an index along one axis points: an index for every axis."""
    places = [mx.arange(n).reshape([-1 if i == a else 1 for i in range(index.ndim)]) for a, n in enumerate(index.shape)]
    places[axis] = index
    return tuple(places)
'''
SCATTER_ADD = '''def added_along(x, axis, index, values):
    """Add values where an index says along one axis; places that are named twice get both."""
    return x.at[places_along(index, axis)].add(values[tuple(slice(n) for n in index.shape)])
'''
SCATTER_REDUCE = '''def reduced_along(x, axis, index, values, reduce, include_self=True):
    """Combine values where an index says along one axis, with what is there or without it."""
    places = places_along(index, axis)
    values = values[tuple(slice(n) for n in index.shape)]
    if not include_self:
        start = {"sum": 0, "mean": 0, "prod": 1, "amax": -mx.inf, "amin": mx.inf}[reduce]
        x = mx.array(x)
        x[places] = mx.full(index.shape, start, dtype=x.dtype)
    if reduce == "mean":
        counts = (mx.ones if include_self else mx.zeros)(x.shape, dtype=x.dtype).at[places].add(mx.ones_like(values))
        return x.at[places].add(values) / mx.maximum(counts, 1)
    change = {"sum": "add", "prod": "multiply", "amax": "maximum", "amin": "minimum"}[reduce]
    return getattr(x.at[places], change)(values)
'''
MASKED_SCATTER = '''def filled_where(x, mask, source):
    """x with the numbers of a source, in order, where a mask is true."""
    mask = mx.broadcast_to(mask, x.shape).flatten()
    source = source.flatten()
    order = mx.clip(mx.cumsum(mask.astype(mx.int32)) - 1, 0, max(source.size - 1, 0))
    return mx.where(mask, source[order].astype(x.dtype), x.flatten()).reshape(x.shape) if source.size else x
'''
SNIPPETS = {
    "places_along": ALONG,
    "added_along": SCATTER_ADD,
    "reduced_along": SCATTER_REDUCE,
    "filled_where": MASKED_SCATTER,
}
NEEDS = {"added_along": ("places_along",), "reduced_along": ("places_along",)}


@row("where", "condition input=None other=None", Layout.ELEMENTWISE)
def where(op: Operation) -> ast.expr:
    """Of a condition alone: the places where it holds, axis by axis."""
    if "input" not in op.raw and "other" not in op.raw:
        asked = Operation(op.scope, op.node, op.name, {"input": op.raw["condition"]}, {"input": op["condition"]})
        asked.raw["as_tuple"] = asked.args["as_tuple"] = literal(True)
        return nonzero(asked)
    return quote("mx.where(c, x, y)", c=op["condition"], x=op["input"], y=op["other"])


@row("index_add index_add_", "input dim index source alpha=1")
def index_add(op: Operation) -> ast.expr:
    """Slices added along one axis; an index that is named twice gets both."""
    dim = op.value("dim") % op.rank()
    parts: list[ast.expr] = [*(ast.Slice() for _ in range(dim)), op["index"]]
    at = ast.Subscript(
        ast.Attribute(op["input"], "at", ast.Load()), ast.Tuple(parts, ast.Load()) if dim else parts[0], ast.Load()
    )
    source = op["source"]
    if op.get("alpha") is not None and op.value("alpha", 1) != 1:
        source = quote("a * x", a=op["alpha"], x=source)
    return quote("at.add(x)", at=at, x=source)


@row("scatter_add scatter_add_", "input dim index src")
def scatter_add(op: Operation) -> ast.expr:
    return carried("added_along", call("added_along", op["input"], op["dim"], op["index"], op["src"]))


@row("scatter_reduce scatter_reduce_", "input dim index src reduce include_self=True")
def scatter_reduce(op: Operation) -> ast.expr:
    if op.value("reduce") not in ("sum", "mean", "prod", "amax", "amin"):
        raise HoleError(f"scatter_reduce with reduce={op.value('reduce')!r}")
    made = call("reduced_along", op["input"], op["dim"], op["index"], op["src"], op["reduce"])
    if op.get("include_self") is not None:
        made.args.append(op["include_self"])
    return carried("reduced_along", made)


@row("masked_scatter masked_scatter_", "input mask source")
def masked_scatter(op: Operation) -> ast.expr:
    return carried("filled_where", call("filled_where", op["input"], op["mask"], op["source"]))


@row("index_fill index_fill_", "input dim index value")
def index_fill(op: Operation) -> ast.expr:
    """Whole slices of one axis set to a number."""
    dim, rank = op.value("dim") % op.rank(), op.rank()
    chosen = quote(
        "mx.any(mx.arange(n) == i[:, None], axis=0)", n=quote(f"x.shape[{dim}]", x=op["input"]), i=op["index"]
    )
    if dim < rank - 1:
        chosen = quote(f"c.reshape({', '.join(['-1', *['1'] * (rank - 1 - dim)])})", c=chosen)
    return quote("mx.where(c, v, x)", c=chosen, v=op["value"], x=op["input"])


@row("bincount", "input weights=None minlength=0")
def bincount(op: Operation) -> ast.expr:
    """How often each number occurs; the largest is read back, for the length."""
    x, least = op["input"], op.get("minlength") or literal(0)
    size = quote("max(x.max().item() + 1, n)", x=x, n=least)
    if op.get("weights") is None:
        return quote("mx.zeros(n, dtype=mx.int32).at[x].add(1)", n=size, x=x)
    return quote("mx.zeros(n, dtype=w.dtype).at[x].add(w)", n=size, x=x, w=op["weights"])


@row("unique", "input sorted=True return_inverse=False return_counts=False dim=None")
def unique(op: Operation) -> ast.expr:
    """The different values in order, which are read back."""
    if op.value("return_inverse", False) or op.value("return_counts", False) or op.get("dim") is not None:
        raise HoleError("unique with more than the values themselves, or of slices")
    return quote("mx.array(sorted(set(x.flatten().tolist())), dtype=x.dtype)", x=op["input"])


@row("isin", "elements test_elements assume_unique=False invert=False")
def isin(op: Operation) -> ast.expr:
    """Whether each element is one of some values."""
    values: ast.expr = op["test_elements"]
    if op.kinds("test_elements") != {"tensor"}:
        values = call("mx.array", values)
    found = quote("mx.any(x[..., None] == v.flatten(), axis=-1)", x=op["elements"], v=values)
    return quote("mx.logical_not(f)", f=found) if op.value("invert", False) else found


def positions(mask: ast.expr, rank: int) -> list[ast.expr]:
    """The places where a mask is true, an index for each of its axes."""
    made = ask(call("true_positions", mask), Demand("snippet", "true_positions"))
    return [quote(f"p[:, {i}]", p=made) for i in range(rank)]
