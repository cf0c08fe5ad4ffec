"""Convolutions as functions, padding, pooling, resampling."""

from __future__ import annotations

import ast

from portwright.codegen.holes import HoleError
from portwright.codegen.layout import last_axis
from portwright.codegen.quote import is_literal, literal, plain, quote
from portwright.codegen.translate.registry import Layout, Operation, row


@row("pad", "input pad mode='constant' value=None", Layout.AWARE)
def pad(op: Operation) -> ast.expr:
    """torch gives pairs from the last axis backwards; MLX one pair per axis."""
    mode, rank = op.value("mode", "constant"), op.rank()
    if mode not in ("constant", "replicate"):
        raise HoleError(f"padding of mode {mode}")
    widths: list[ast.expr] = [literal((0, 0)) for _ in range(rank)]
    given = op["pad"]
    count = len(given.elts) if isinstance(given, (ast.Tuple, ast.List)) else 0
    if not count:
        lens = op.scope.seen(op.raw["pad"]).lens
        if len(lens) != 1:
            raise HoleError("padding of a varying number of axes")
        count = next(iter(lens))
    for i in range(count // 2):
        place = rank - 1 - i
        if op.is_last():
            place = last_axis(place, rank)
        if isinstance(given, (ast.Tuple, ast.List)):
            pair: ast.expr = ast.Tuple([given.elts[2 * i], given.elts[2 * i + 1]], ast.Load())
        else:
            pair = quote("(p[i], p[j])", p=given, i=literal(2 * i), j=literal(2 * i + 1))
        widths[place] = pair
    for w in widths:
        values = plain(w) if is_literal(w) else None
        if values is not None and min(values) < 0:
            raise HoleError("negative padding")
    made = ast.List(widths, ast.Load())
    if mode == "replicate":
        return quote('mx.pad(x, w, mode="edge")', x=op["input"], w=made)
    value = op.get("value")
    if value is None or plain(value) == 0:
        return quote("mx.pad(x, w)", x=op["input"], w=made)
    return quote("mx.pad(x, w, constant_values=v)", x=op["input"], w=made, v=value)


@row(
    "interpolate",
    "input size=None scale_factor=None mode='nearest' align_corners=None recompute_scale_factor=None antialias=False",
    Layout.AWARE,
)
def interpolate(op: Operation) -> ast.expr:
    mode = op.value("mode", "nearest")
    if mode != "nearest":
        raise HoleError(f"interpolation of mode {mode}")
    factor = op.get("scale_factor")
    if factor is None:
        raise HoleError("interpolation to a size")
    value = op.value("scale_factor")
    if isinstance(value, (tuple, list)) or float(value) != int(value):
        raise HoleError("interpolation by a fraction")
    out, rank = op["input"], op.rank()
    for axis in range(2, rank):
        place = last_axis(axis, rank) if op.is_last() else axis
        out = quote("mx.repeat(x, s, axis=a)", x=out, s=literal(int(value)), a=literal(place))
    return out
