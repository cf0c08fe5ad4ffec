"""Items of channels-last values that are assigned: where they lie in the port, and how what is put there is held."""

from __future__ import annotations

import ast

from portwright.codegen.emit.expressions import meet
from portwright.codegen.emit.scope import Scope
from portwright.codegen.emit.subscript import subscript_slice, unfolded
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_last
from portwright.codegen.quote import plain


def last_item(scope: Scope, t: ast.Subscript, value: ast.expr, made: ast.expr) -> tuple[ast.Subscript, ast.expr]:
    """The place `x[:, a:b, :, i]` of a channels-last x, and the translated value in the layout of that place."""
    rank = scope.rank(t.value)
    if rank is None:
        raise HoleError("an item of a channels-last value of several ranks is assigned")
    parts = unfolded(t.slice.elts if isinstance(t.slice, ast.Tuple) else [t.slice], rank)
    parts = [*parts, *(ast.Slice() for _ in range(rank - len(parts)))]
    numbers = [isinstance(plain(p), int) or scope.kinds(p) == {"int"} for p in parts]
    if any(numbers[:2]) or not all(n or isinstance(p, ast.Slice) for n, p in zip(numbers, parts, strict=True)):
        raise HoleError("an item of a channels-last value is assigned that is no run of its axes")
    moved = [subscript_slice(scope, p) for p in (parts[0], *parts[2:], parts[1])]
    while len(moved) > 1 and isinstance(s := moved[-1], ast.Slice) and not (s.lower or s.upper or s.step):
        moved.pop()
    index = moved[0] if len(moved) == 1 else ast.Tuple(moved, ast.Load())
    place = ast.Subscript(scope.expr(t.value), index, ast.Store())
    out_rank = rank - sum(numbers)
    if "tensor" in scope.kinds(value) and not scope.is_last(value):
        made = to_last(made, out_rank) if scope.rank(value) == out_rank else meet(scope, value, made, out_rank)
    return place, made
