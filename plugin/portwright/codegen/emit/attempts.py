"""`try` statements: the way that every run took, as long as each run took the same."""

from __future__ import annotations

import ast
from typing import cast

from portwright.codegen.emit.scope import Scope, statement
from portwright.codegen.emit.statements import block
from portwright.codegen.holes import HoleError


@statement(ast.Try)
def attempt(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    """The body where it always went through; the one handler where the body's first statement always raised."""
    n = cast(ast.Try, node)
    if n.finalbody:
        raise HoleError("try ... finally")
    visits = [visits_of(scope, s) for s in n.body]
    through = all(v is not None and (v == scope.trace.entered or (scope.nested and v)) for v in visits)
    if through and not any(
        scope.seen(x).n for h in n.handlers for s in h.body for x in ast.walk(s) if isinstance(x, ast.expr)
    ):
        return [*block(scope, n.body), *block(scope, n.orelse)]
    if visits[0] == 0 and len(n.handlers) == 1:
        return block(scope, n.handlers[0].body)
    raise HoleError("a try statement whose body may have raised")


def visits_of(scope: Scope, s: ast.stmt) -> int | None:
    """How often a statement ran to its end; None where that is not recorded."""
    value = getattr(s, "value", None)
    if isinstance(s, (ast.Assign, ast.AugAssign, ast.Expr, ast.Return)) and isinstance(value, ast.expr):
        return scope.trace.entered if isinstance(value, ast.Constant) else scope.seen(value).n
    return None
