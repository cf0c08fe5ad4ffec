"""Reductions, cumulations, sorting."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, literal, quote
from portwright.codegen.translate.places import signed
from portwright.codegen.translate.registry import Layout, Operation, row

REDUCTIONS = {
    "mean": "mean", "sum": "sum", "amax": "max", "amin": "min", "prod": "prod", "all": "all", "any": "any",
    "argmax": "argmax", "argmin": "argmin", "logsumexp": "logsumexp", "nansum": "sum",
}  # fmt: skip


@row("mean sum amax amin prod all any argmax argmin logsumexp", "input dim=None keepdim=False dtype=None", Layout.AXIS)
def reduction(op: Operation) -> ast.expr:
    keep = op.get("keepdim")
    keepdims = keep if keep is not None and not (isinstance(keep, ast.Constant) and keep.value is False) else None
    x = op["input"]
    if op.get("dtype") is not None:
        x = quote("x.astype(d)", x=x, d=op["dtype"])
    axis = op.axis()
    if isinstance(axis, ast.List):
        axis = ast.Tuple(axis.elts, ast.Load())
    made = call(f"mx.{REDUCTIONS[op.name]}", x, axis=axis, keepdims=keepdims)
    return signed(op, made) if op.name in ("argmax", "argmin") else made


@row("max min", "input dim=None keepdim=False", Layout.AXIS)
def extreme(op: Operation) -> ast.expr:
    """`max(x)`, `max(x, other)`; with an axis torch gives values and indices."""
    if op.get("dim") is None:
        return call(f"mx.{op.name}", op["input"])
    if "tensor" in op.kinds("dim"):
        if op.is_last() or op.is_last("dim"):
            raise HoleError(f"{op.name} of two channels-last values")
        return call(f"mx.{op.name}imum", op["input"], op["dim"])
    axis = op.axis()
    assert axis is not None
    keep = op.get("keepdim") or ast.Constant(False)
    values, places = (
        quote(f"mx.{f}(x, axis=a, keepdims=k)", x=op["input"], a=axis, k=keep) for f in (op.name, f"arg{op.name}")
    )
    return ast.Tuple([values, signed(op, places, 1)], ast.Load())


@row("var std", "input dim=None unbiased=True keepdim=False correction=None", Layout.AXIS)
def spread(op: Operation) -> ast.expr:
    ddof = op["correction"] if op.get("correction") is not None else literal(1 if op.value("unbiased", True) else 0)
    keep = op.get("keepdim")
    keepdims = keep if keep is not None and not (isinstance(keep, ast.Constant) and keep.value is False) else None
    shown = None if isinstance(ddof, ast.Constant) and ddof.value == 0 else ddof
    return call(f"mx.{op.name}", op["input"], axis=op.axis(), keepdims=keepdims, ddof=shown)


@row("norm vector_norm", "input p=None dim=None keepdim=False dtype=None ord=2", Layout.AXIS)
def norm(op: Operation) -> ast.expr:
    order = op.value("p") if "p" in op.raw else op.value("ord", 2)
    axis = op.axis()
    keep = op.get("keepdim")
    keepdims = keep if keep is not None and not (isinstance(keep, ast.Constant) and keep.value is False) else None
    if order in (2, 2.0, None, "fro"):
        squares = call("mx.sum", quote("mx.square(x)", x=op["input"]), axis=axis, keepdims=keepdims)
        return quote("mx.sqrt(s)", s=squares)
    sizes = quote("mx.abs(x)", x=op["input"])
    if order == 1:
        return call("mx.sum", sizes, axis=axis, keepdims=keepdims)
    if order in (float("inf"), float("-inf")):
        return call("mx.max" if order > 0 else "mx.min", sizes, axis=axis, keepdims=keepdims)
    raise HoleError(f"a norm of order {order}")


@row("cumsum cumprod logcumsumexp", "input dim dtype=None", Layout.AXIS)
def cumulation(op: Operation) -> ast.expr:
    x = quote("x.astype(mx.int32)", x=op["input"]) if op.scope.seen(op.raw["input"]).dtypes == {"bool"} else op["input"]
    return call(f"mx.{op.name}", x, axis=op.axis())


@row("topk", "input k dim=-1 largest=True sorted=True")
def topk(op: Operation) -> ast.expr:
    """Values and indices, largest first."""
    if op.value("largest", True) is not True:
        raise HoleError("the smallest k")
    if op.value("dim", -1) not in (-1, op.rank() - 1):
        raise HoleError("topk along another axis than the last")
    return ask(call("largest_k", op["input"], op["k"]), Demand("snippet", "largest_k"))


@row("sort", "input dim=-1 descending=False stable=False")
def sort(op: Operation) -> ast.expr:
    x = op["input"]
    key = quote("-x", x=x) if op.value("descending", False) else x
    axis = op.get("dim") or literal(-1)
    order = quote("mx.argsort(key, axis=a)", key=key, a=axis)
    return quote("(mx.take_along_axis(x, i, axis=a), j)", x=x, i=order, j=signed(op, order, 1), a=axis)


@row("argsort", "input dim=-1 descending=False stable=False")
def argsort(op: Operation) -> ast.expr:
    key = quote("-x", x=op["input"]) if op.value("descending", False) else op["input"]
    return signed(op, call("mx.argsort", key, axis=op.get("dim") or literal(-1)))


@row("cdist", "x1 x2 p=2.0")
def pairwise_distances(op: Operation) -> ast.expr:
    if op.value("p", 2.0) != 2.0:
        raise HoleError("cdist of another norm than the Euclidean")
    return quote("mx.linalg.norm(x[..., :, None, :] - y[..., None, :, :], axis=-1)", x=op["x1"], y=op["x2"])
