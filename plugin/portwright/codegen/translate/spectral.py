"""Fourier transforms, and changes along an axis."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, literal, plain, quote
from portwright.codegen.translate.registry import Layout, Operation, row

EXTREMES = '''def running_places(x, values, axis):
    """Where along an axis each value of a running maximum or minimum was last met."""
    places = mx.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return mx.cummax(mx.where(x == values, places, 0), axis=axis)
'''
COPIED = '''def copied_along(x, axis, index, values):
    """x with whole slices of one axis replaced."""
    x = mx.array(x)
    x[(*[slice(None)] * (axis % x.ndim), index)] = values
    return x
'''
SNIPPETS = {"running_places": EXTREMES, "copied_along": COPIED}


@row("fft_fft fft_ifft fft_rfft fft_irfft", "input n=None dim=-1 norm=None", Layout.AXIS)
def transform(op: Operation) -> ast.expr:
    """Along one axis; both libraries call the ways to scale alike."""
    axis = op.axis(default=-1)
    shown = axis if plain(axis) != -1 else None
    return call(f"mx.fft.{op.name[4:]}", op["input"], n=op.get("n"), axis=shown, norm=op.get("norm"))


@row("fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2", "input s=None dim=(-2,-1) norm=None")
def transform_of_pictures(op: Operation) -> ast.expr:
    axes = op.get("dim")
    shown = axes if axes is not None and plain(axes) != (-2, -1) else None
    return call(f"mx.fft.{op.name[4:]}", op["input"], s=op.get("s"), axes=shown, norm=op.get("norm"))


@row("fft_fftn fft_ifftn fft_rfftn fft_irfftn", "input s=None dim=None norm=None")
def transform_of_all(op: Operation) -> ast.expr:
    """Sizes without axes are those of the last axes, which MLX wants to be told."""
    axes = op.get("dim")
    if axes is None and op.get("s") is not None:
        lens = op.scope.seen(op.raw["s"]).lens or {len(getattr(op["s"], "elts", ()))}
        if len(lens) != 1 or lens == {0}:
            raise HoleError("a transform of a varying number of axes")
        axes = literal(tuple(range(-next(iter(lens)), 0)))
    return call(f"mx.fft.{op.name[4:]}", op["input"], s=op.get("s"), axes=axes, norm=op.get("norm"))


@row("fft_fftshift fft_ifftshift", "input dim=None")
def shifted(op: Operation) -> ast.expr:
    axes = op.get("dim")
    if axes is not None and isinstance(plain(axes), int):
        axes = literal((plain(axes),))
    return call(f"mx.fft.{op.name[4:]}", op["input"], axes=axes)


@row("fft_fftfreq fft_rfftfreq", "n d=1.0 dtype=None")
def frequencies(op: Operation) -> ast.expr:
    return call(f"mx.fft.{op.name[4:]}", op["n"], *([op["d"]] if op.get("d") is not None else []))


@row("diff", "input n=1 dim=-1 prepend=None append=None")
def differences(op: Operation) -> ast.expr:
    """Each value less the one before it along an axis."""
    dim = op.value("dim", -1) % op.rank()
    x = op["input"]
    ends = [op.get("prepend"), x, op.get("append")]
    if op.get("prepend") is not None or op.get("append") is not None:
        x = quote(
            "mx.concatenate(xs, axis=a)", xs=ast.List([e for e in ends if e is not None], ast.Load()), a=literal(dim)
        )
    if op.scope.seen(op.raw["input"]).dtypes & {"bool"}:
        raise HoleError("diff of truth values")
    lead = ":, " * dim
    for _ in range(op.value("n", 1)):
        x = quote(f"x[{lead}1:] - x[{lead}:-1]", x=x)
    return x


@row("cummax cummin", "input dim", Layout.AXIS)
def running_extreme(op: Operation) -> ast.expr:
    """Values and the places where they were met last."""
    axis = op.axis() or op["dim"]
    values = quote(f"mx.{op.name}(x, axis=a)", x=op["input"], a=axis)
    places = quote("running_places(x, v, a)", x=op["input"], v=values, a=axis)
    return quote("(v, p)", v=values, p=ask(places, Demand("snippet", "running_places")))


@row("index_copy index_copy_", "input dim index source")
def index_copy(op: Operation) -> ast.expr:
    """Whole slices of one axis replaced."""
    made = call("copied_along", op["input"], op["dim"], op["index"], op["source"])
    return ask(made, Demand("snippet", "copied_along"))


@row("unique_consecutive", "input return_inverse=False return_counts=False dim=None")
def unique_consecutive(op: Operation) -> ast.expr:
    """What differs from its neighbour before it; which that is is read back."""
    if op.value("return_inverse", False) or op.value("return_counts", False) or op.rank() != 1:
        raise HoleError("unique_consecutive with more than the values themselves, or of several axes")
    mask = quote("mx.concatenate([mx.ones(1, dtype=mx.bool_), x[1:] != x[:-1]])", x=op["input"])
    return ask(call("where_true", op["input"], mask), Demand("snippet", "where_true"))


@row("embedding_bag", "input weight offsets=None mode='mean' per_sample_weights=None max_norm=None")
def embedding_bag(op: Operation) -> ast.expr:
    """The sum or mean of the rows that each bag of indices names, each with its own weight."""
    mode = op.value("mode", "mean")
    if op.get("offsets") is not None or op.get("max_norm") is not None or op.rank() != 2 or mode == "max":
        raise HoleError("embedding_bag with offsets, of the greatest, or with a limit of lengths")
    rows = quote("table[i]", table=op["weight"], i=op["input"])
    if op.get("per_sample_weights") is not None:
        rows = quote("x * w[..., None]", x=rows, w=op["per_sample_weights"])
    return quote(f"mx.{mode}(x, axis=1)", x=rows)
