"""Joining tensors, products of matrices."""

from __future__ import annotations

import ast

from portwright.codegen.emit.expressions import meet
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import last_axis
from portwright.codegen.quote import call, literal, quote
from portwright.codegen.translate.registry import Layout, Operation, row, template

template("matmul bmm mm __matmul__", "input other", "input @ other")
template("outer ger", "input vec2", "mx.outer(input, vec2)")
template("dot", "input other", "mx.inner(input, other)")


@row("addmm", "input mat1 mat2")
def addmm(op: Operation) -> ast.expr:
    return call("mx.addmm", op["input"], op["mat1"], op["mat2"])


@row("baddbmm", "input batch1 batch2 beta=1 alpha=1")
def baddbmm(op: Operation) -> ast.expr:
    product: ast.expr = quote("a @ b", a=op["batch1"], b=op["batch2"])
    if op.get("alpha") is None or set(op.constants("alpha")) == {1}:
        op.value("alpha", 1)
    else:
        product = quote("alpha * p", alpha=op["alpha"], p=product)
    betas = set(op.constants("beta"))
    if op.get("beta") is None or betas == {1}:
        op.value("beta", 1)
        return quote("x + p", x=op["input"], p=product)
    if betas == {0} and op.value("beta") == 0:
        return product
    return quote("beta * x + p", beta=op["beta"], x=op["input"], p=product)


@row("einsum", "equation *operands")
def einsum(op: Operation) -> ast.expr:
    return call("mx.einsum", op["equation"], *op.sizes("operands"))


def parts(op: Operation) -> ast.expr:
    """The tensors of a cat or stack, as a list."""
    made = op["tensors"]
    return ast.List(made.elts, ast.Load()) if isinstance(made, ast.Tuple) else made


@row("cat concat concatenate", "tensors dim=0", Layout.AWARE)
def cat(op: Operation) -> ast.expr:
    dim = op.get("dim") or literal(0)
    scope, raw = op.scope, op.raw["tensors"]
    if not scope.is_last(op.node):
        return call("mx.concatenate", parts(op), axis=dim)
    rank = scope.rank(op.node)
    value = op.value("dim", 0)
    if rank is None or not isinstance(value, int):
        raise HoleError("cat of channels-last values of unknown rank or axis")
    made = parts(op)
    if isinstance(raw, (ast.List, ast.Tuple)) and isinstance(made, ast.List):
        made = ast.List([meet(scope, s, t, rank) for s, t in zip(raw.elts, made.elts, strict=True)], ast.Load())
    elif any(t != "cl" for t in scope.seen(raw).element_tags):
        raise HoleError("cat of a list that mixes layouts")
    place = last_axis(value, rank)
    return call("mx.concatenate", made, axis=literal(place if place < rank - 1 else -1))


@row("stack", "tensors dim=0")
def stack(op: Operation) -> ast.expr:
    if "cl" in op.scope.seen(op.raw["tensors"]).element_tags:
        raise HoleError("stack of channels-last values")
    dim = op.get("dim")
    return call("mx.stack", parts(op), axis=dim if dim is not None and op.value("dim", 0) != 0 else None)


@row("hstack vstack row_stack", "tensors", Layout.AWARE)
def joined(op: Operation) -> ast.expr:
    """Along the second axis or the first; numbers in a row have one axis only."""
    rank = op.scope.rank(op.node)
    if rank is None or (op.name != "hstack" and rank < 3):
        raise HoleError(f"{op.name} of values in rows, or whose rank varies")
    op.args["dim"] = op.raw["dim"] = literal(min(rank - 1, 1) if op.name == "hstack" else 0)
    return cat(op)


@row("meshgrid", "*tensors indexing='ij'")
def meshgrid(op: Operation) -> ast.expr:
    indexing = op.get("indexing") or ast.Constant("ij")
    return call("mx.meshgrid", *op.sizes("tensors"), indexing=indexing)


@row("broadcast_tensors", "*tensors")
def broadcast_tensors(op: Operation) -> ast.expr:
    return call("mx.broadcast_arrays", *op.sizes("tensors"))


@row("pad_sequence", "sequences batch_first=False padding_value=0.0 padding_side='right'")
def pad_sequence(op: Operation) -> ast.expr:
    if op.value("padding_side", "right") != "right":
        raise HoleError("sequences padded on the left")
    given = [] if op.get("padding_value") is None or op.value("padding_value") == 0 else [op["padding_value"]]
    made: ast.expr = ask(call("pad_sequence", op["sequences"], *given), Demand("snippet", "pad_sequence"))
    return made if op.value("batch_first", False) else quote("x.swapaxes(0, 1)", x=made)
