"""Branches that a float32 run never takes and that only cast: what the reference does with 16-bit weights."""

from __future__ import annotations

import ast
from typing import cast

from portwright.codegen.emit.scope import Scope
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import quote

CASTS = {"float": "float32", "half": "float16", "bfloat16": "bfloat16"}


def casting_branch(scope: Scope, n: ast.If) -> list[ast.stmt] | None:
    """Translate `if w.dtype in [torch.float16, torch.bfloat16]: x = x.to(w.dtype)`, or None for another branch.

    Every run observes float32, so such a branch is never seen to run; left out, the values after it would stay in
    float32 where the reference's are in 16 bit.
    """
    test = n.test
    if scope.truth(test) != {False} or n.orelse or not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    sides = [test.left, *listed(test.comparators[0])]
    if not all(scope.kinds(side) == {"dtype"} for side in sides):
        return None
    known = {ast.unparse(side): side for side in sides}
    try:
        casts = [cast_of(scope, s, known) for s in n.body]
        return None if None in casts else [ast.If(scope.expr(test), cast(list[ast.stmt], casts), [])]
    except HoleError:
        return None


def listed(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, (ast.List, ast.Tuple, ast.Set)) else [node]


def cast_of(scope: Scope, s: ast.stmt, known: dict[str, ast.expr]) -> ast.stmt | None:
    """`x = x.to(d)` where d stands in the test, `x = x.float()` and the like."""
    if not (isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name)):
        return None
    name, call = s.targets[0].id, s.value
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)) or name in scope.parts:
        return None
    if not (isinstance(call.func.value, ast.Name) and call.func.value.id == name):
        return None
    if call.func.attr in CASTS and not call.args and not call.keywords:
        target: ast.expr = quote(f"mx.{CASTS[call.func.attr]}")
    else:
        given = [*call.args, *(k.value for k in call.keywords if k.arg == "dtype")]
        side = known.get(ast.unparse(given[0])) if call.func.attr in ("to", "type") and len(given) == 1 else None
        if side is None:
            return None
        target = scope.expr(side)
    return ast.Assign([ast.Name(name, ast.Store())], quote("x.astype(d)", x=ast.Name(name, ast.Load()), d=target))
