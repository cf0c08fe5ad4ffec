"""Reshapes, permutations, expansions, splits."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import last_axis, to_first, to_last, transpose
from portwright.codegen.quote import call, literal, method, plain, quote, tuple_of
from portwright.codegen.runtime.caches import follows_cache
from portwright.codegen.tidy.inline import is_simple
from portwright.codegen.translate.registry import Layout, Operation, row, template


def first(op: Operation, name: str = "input") -> ast.expr:
    """An operand as channels-first."""
    return to_first(op[name], op.rank(name)) if op.is_last(name) else op[name]


def result(op: Operation, made: ast.expr) -> ast.expr:
    """A channels-first result in the layout that it has in the port."""
    if op.scope.kinds(op.node) == {"tensor"} and op.scope.is_last(op.node):
        rank = op.scope.rank(op.node)
        if rank is None:
            raise HoleError(f"{op.name}: the rank of its result is not known")
        return to_last(made, rank)
    return made


@row("view reshape", "input *shape", Layout.AWARE)
def reshape(op: Operation) -> ast.expr:
    if any("dtype" in op.scope.kinds(r) for r in op.raw_star):
        raise HoleError("view(dtype) reads memory as another type")
    return result(op, method(first(op), "reshape", *op.sizes("shape")))


template("view_as reshape_as", "input other", "input.reshape(other.shape)")
template("expand_as", "input other", "mx.broadcast_to(input, other.shape)")


@row("flatten", "input start_dim=0 end_dim=-1", Layout.AWARE)
def flatten(op: Operation) -> ast.expr:
    start, end = op.value("start_dim", 0), op.value("end_dim", -1)
    args = [literal(a) for a in ([start, end] if end != -1 else [start] if start != 0 else [])]
    return result(op, method(first(op), "flatten", *args))


template("unflatten", "input dim sizes", "mx.unflatten(input, dim, sizes)")
template("ravel", "input", "input.flatten()")


@row("permute", "input *dims", Layout.AWARE)
def permute(op: Operation) -> ast.expr:
    axes = [plain(d) for d in op.sizes("dims")]
    if all(isinstance(i, int) for i in axes):
        rank = len(axes)
        return result(op, transpose(first(op), tuple(i % rank for i in axes)))
    return result(op, method(first(op), "transpose", *op.sizes("dims")))


@row("transpose swapaxes swapdims", "input dim0 dim1", Layout.AWARE)
def swap(op: Operation) -> ast.expr:
    i, j = plain(op["dim0"]), plain(op["dim1"])
    rank = op.scope.rank(op.raw["input"])
    if rank is None or not isinstance(i, int) or not isinstance(j, int):
        if op.is_last():
            raise HoleError("a transpose of a channels-last value by unknown axes")
        return quote("x.swapaxes(i, j)", x=op["input"], i=op["dim0"], j=op["dim1"])
    axes = list(range(rank))
    axes[i % rank], axes[j % rank] = axes[j % rank], axes[i % rank]
    return result(op, transpose(first(op), tuple(axes)))


template("t", "input", "input.T")


@row("movedim moveaxis", "input source destination", Layout.AWARE)
def move(op: Operation) -> ast.expr:
    """One axis to another place, as a transpose so that it cancels with others."""
    source, destination, rank = plain(op["source"]), plain(op["destination"]), op.scope.rank(op.raw["input"])
    if not isinstance(source, int) or not isinstance(destination, int) or rank is None:
        if op.is_last():
            raise HoleError(f"{op.name} of several axes of a channels-last value")
        return result(op, quote("mx.moveaxis(x, s, d)", x=op["input"], s=op["source"], d=op["destination"]))
    if not op.is_last() and not op.scope.is_last(op.node):
        return quote("mx.moveaxis(x, s, d)", x=op["input"], s=literal(source), d=literal(destination))
    axes = [a for a in range(rank) if a != source % rank]
    axes.insert(destination % rank, source % rank)
    return result(op, transpose(first(op), tuple(axes)))


@row("unsqueeze", "input dim", Layout.AWARE)
def unsqueeze(op: Operation) -> ast.expr:
    dim = plain(op["dim"])
    out_last = op.scope.kinds(op.node) == {"tensor"} and op.scope.is_last(op.node)
    if op.is_last() and out_last and isinstance(dim, int) and dim % (op.rank() + 1) > 1:
        return inserted(op["input"], dim % (op.rank() + 1) - 1)
    if dim == 0 and op.scope.rank(op.raw["input"]) == 1 and follows_cache(op.scope, op.raw["input"]):
        return ask(quote("by_row(x)", x=op["input"]), Demand("snippet", "by_row"))
    return result(op, unsqueezed(op, first(op), dim))


def inserted(x: ast.expr, place: int) -> ast.expr:
    """`x[:, None]`: a new axis at a place."""
    return ast.Subscript(x, tuple_of([*[ast.Slice() for _ in range(place)], ast.Constant(None)]), ast.Load())


def unsqueezed(op: Operation, x: ast.expr, dim: object) -> ast.expr:
    if dim == -1:
        return quote("x[..., None]", x=x)
    if isinstance(dim, int) and 0 <= dim <= 3:
        parts = [ast.Slice() for _ in range(dim)] + [ast.Constant(None)]
        return ast.Subscript(x, parts[0] if dim == 0 else tuple_of(parts), ast.Load())
    return quote("mx.expand_dims(x, d)", x=x, d=op["dim"])


@row("squeeze", "input dim=None", Layout.AWARE)
def squeeze(op: Operation) -> ast.expr:
    """MLX refuses to squeeze an axis that is not one; torch leaves it."""
    if op.get("dim") is None:
        return result(op, quote("mx.squeeze(x)", x=first(op)))
    dim = op.value("dim")
    out_last = op.scope.kinds(op.node) == {"tensor"} and op.scope.is_last(op.node)
    shapes = op.scope.seen(op.raw["input"]).shapes
    sizes = {s[d] == 1 for s in shapes for d in (dim if isinstance(dim, (tuple, list)) else [dim])}
    if sizes == {False}:
        return op["input"]
    if sizes != {True}:
        raise HoleError("squeeze of an axis that is sometimes one")
    if op.is_last() and out_last and isinstance(dim, int):
        return quote("mx.squeeze(x, d)", x=op["input"], d=literal(last_axis(dim, op.rank())))
    return result(op, quote("mx.squeeze(x, d)", x=first(op), d=op["dim"]))


@row("expand broadcast_to", "input *size")
def expand(op: Operation) -> ast.expr:
    sizes = op.sizes("size")
    if len(sizes) == 1 and isinstance(sizes[0], ast.Starred):
        return quote("mx.broadcast_to(x, s)", x=op["input"], s=sizes[0].value)
    if any(isinstance(s, ast.Starred) for s in sizes):
        one = op.raw_star[0] if len(op.raw_star) == 1 else None
        raw = one.elts if isinstance(one, (ast.Tuple, ast.List)) else op.raw_star
        starred = [r for r in raw if isinstance(r, ast.Starred)]
        if len(raw) != len(sizes) or any(op.scope.kinds(r.value) != {"size"} for r in starred):
            raise HoleError("expand by unknown sizes")
        last = max(i for i, r in enumerate(raw) if isinstance(r, ast.Starred))
        for i, r in enumerate(raw):
            if plain(r) == -1 and i > last:  # counted from the end, whatever the starred sizes are
                sizes[i] = quote("x.shape[i]", x=op["input"], i=literal(i - len(raw)))
            elif not isinstance(r, ast.Starred) and (-1 in op.scope.seen(r).consts or plain(r) == -1):
                raise HoleError("expand by a size that is -1")
        return quote("mx.broadcast_to(x, s)", x=op["input"], s=tuple_of(sizes))
    offset = len(sizes) - op.rank()
    if offset == 1 and plain(sizes[0]) == 1 and all(plain(s) == -1 for s in sizes[1:]):
        return quote("x[None]", x=op["input"])
    out = []
    for i, size in enumerate(sizes):
        if plain(size) == -1:
            out.append(quote("x.shape[i]", x=op["input"], i=literal(i - offset)))
        else:
            seen = op.scope.seen(op.raw_star[i]) if len(op.raw_star) == len(sizes) else None
            if seen is not None and -1 in seen.consts:
                raise HoleError("expand by a size that is sometimes -1")
            out.append(size)
    if any(plain(size) == -1 for size in sizes) and not is_simple(op["input"]):
        made = ast.Call(quote("expanded"), [op["input"], *sizes], [])  # the shape of what is computed is asked once
        return ask(made, Demand("snippet", "expanded"))
    return quote("mx.broadcast_to(x, s)", x=op["input"], s=tuple_of(out))


@row("repeat tile", "input *repeats", Layout.AWARE)
def repeat(op: Operation) -> ast.expr:
    sizes = op.sizes("repeats")
    if len(sizes) == 1 and isinstance(sizes[0], ast.Starred):
        return result(op, quote("mx.tile(x, r)", x=first(op), r=sizes[0].value))
    if op.is_last() and op.scope.is_last(op.node) and len(sizes) == op.rank():
        return quote("mx.tile(x, r)", x=op["input"], r=tuple_of([sizes[0], *sizes[2:], sizes[1]]))
    return result(op, quote("mx.tile(x, r)", x=first(op), r=tuple_of(sizes)))


@row("repeat_interleave", "input repeats dim=None output_size=None", Layout.AXIS)
def repeat_interleave(op: Operation) -> ast.expr:
    if "tensor" in op.kinds("repeats"):
        axis = op.axis() or literal(0)
        flat = op["input"] if op.get("dim") is not None or op.rank() == 1 else quote("x.flatten()", x=op["input"])
        made = call("repeat_each", flat, op["repeats"], axis)
        return ask(made, Demand("snippet", "repeat_each"))
    return call("mx.repeat", op["input"], op["repeats"], axis=op.axis())


@row("chunk", "input chunks dim=0", Layout.AXIS)
def chunk(op: Operation) -> ast.expr:
    axis = op.axis(default=0) or literal(0)
    if even_chunks(op):
        return call("mx.split", op["input"], op["chunks"], axis=axis)
    made = quote("uneven_chunks(x, n, a)", x=op["input"], n=op["chunks"], a=axis)
    return ask(made, Demand("snippet", "uneven_chunks"))


def even_chunks(op: Operation) -> bool:
    """Whether MLX's split gives what torch's chunk gave: equal parts, as many as asked for; else it would fail."""
    count, dim = op.scope.seen(op.raw["chunks"]), op.value("dim", 0)
    counts = {plain(op["chunks"])} if plain(op["chunks"]) else {c for c in count.consts if isinstance(c, int)}
    if not isinstance(dim, int):
        return True
    return all(shape[dim] % n == 0 for shape in op.scope.seen(op.raw["input"]).shapes for n in counts)


@row("split split_with_sizes", "input split_size_or_sections dim=0", Layout.AXIS)
def split(op: Operation) -> ast.expr:
    axis = op.axis(default=0)
    sizes = op.args.get("split_size_or_sections", None)
    if isinstance(sizes, (ast.List, ast.Tuple)) and not any(isinstance(e, ast.Starred) for e in sizes.elts):
        places: list[ast.expr] = []
        total: ast.expr | None = None
        for size in sizes.elts[:-1]:
            total = size if total is None else ast.BinOp(total, ast.Add(), size)
            value = plain_sum(total)
            places.append(literal(value) if value is not None else total)
        return call("mx.split", op["input"], ast.List(places, ast.Load()), axis=axis)
    if op.kinds("split_size_or_sections") & {"tuple", "list"}:
        return quote(
            "mx.split(x, [sum(s[:i]) for i in range(1, len(s))], axis=a)",
            x=op["input"],
            s=op["split_size_or_sections"],
            a=axis or literal(0),
        )
    assert axis is not None
    made = quote("split_by(x, s, a)", x=op["input"], s=op["split_size_or_sections"], a=axis)
    return ask(made, Demand("snippet", "split_by"))


def plain_sum(node: ast.expr) -> int | None:
    """The value of a sum of literals."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = plain_sum(node.left), plain_sum(node.right)
        return left + right if left is not None and right is not None else None
    value = plain(node)
    return value if isinstance(value, int) else None


@row("unbind", "input dim=0")
def unbind(op: Operation) -> ast.expr:
    return (
        call("mx.unstack", op["input"], axis=op.axis(default=0))
        if op.value("dim", 0)
        else call("mx.unstack", op["input"])
    )


@row("roll", "input shifts dims=None", Layout.AXIS)
def roll(op: Operation) -> ast.expr:
    return call("mx.roll", op["input"], op["shifts"], axis=op.axis("dims"))


@row("flip", "input *dims")
def flip(op: Operation) -> ast.expr:
    axes = op.sizes("dims")
    made = ast.Tuple(axes, ast.Load()) if len(axes) > 1 else axes[0]
    return (
        quote("mx.take(x, mx.arange(x.shape[d] - 1, -1, -1), axis=d)", x=op["input"], d=made)
        if len(axes) == 1
        else flips(op, axes)
    )


def flips(op: Operation, axes: list[ast.expr]) -> ast.expr:
    out = op["input"]
    for a in axes:
        out = quote("mx.take(x, mx.arange(x.shape[d] - 1, -1, -1), axis=d)", x=out, d=a)
    return out


@row("size", "input dim=None", Layout.AWARE)
def size(op: Operation) -> ast.expr:
    if op.get("dim") is None:
        if op.is_last():
            return quote("(x.shape[0], x.shape[-1], *x.shape[1:-1])", x=op["input"])
        return quote("x.shape", x=op["input"])
    return quote("x.shape[d]", x=op["input"], d=op.axis() or literal(0))


template("dim ndimension", "input", "input.ndim", Layout.AWARE)
template("numel nelement", "input", "input.size", Layout.AWARE)
template("item", "input", "input.item()")
template("tolist", "input", "input.tolist()")
