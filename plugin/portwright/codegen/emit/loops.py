"""Loops: those that never went round in any run, and counters that nothing reads."""

from __future__ import annotations

import ast

from portwright.codegen.emit.provenance import rewritten
from portwright.codegen.emit.scope import Scope
from portwright.codegen.holes import Assumption


def emptied(scope: Scope, n: ast.For) -> ast.stmt | None:
    """What stands for a loop that never went round, where the config says how often it does: a check of that."""
    given = n.iter.args if isinstance(n.iter, ast.Call) and ast.unparse(n.iter.func) == "range" else [n.iter]
    over = [rewritten(scope, x, 0) for x in given]
    fields = [x for x in over if x is not None and any(isinstance(a, ast.Attribute) for a in ast.walk(x))]
    if not scope.seen(n.iter).n or not fields or None in over:
        return None
    text = ", ".join(ast.unparse(x) for x in over if x is not None)
    test = f"not {text}" if given[0] is n.iter else f"len(range({text})) == 0"
    made: ast.stmt = ast.Expr(ast.Constant("assumption"))
    made.marker = True  # type: ignore[attr-defined]
    made.origin = n.lineno  # type: ignore[attr-defined]
    made.effects = True  # type: ignore[attr-defined]
    made.bound = frozenset()  # type: ignore[attr-defined]
    about = f"the loop over {ast.unparse(n.iter)} never goes round"
    made.assumption = Assumption(scope.where(n), about, True, "construction", test)  # type: ignore[attr-defined]
    return made


def is_idle(s: ast.stmt) -> bool:
    """Whether a statement only says what was taken for granted of something that the port leaves out."""
    if hasattr(s, "bound"):
        return not s.effects and not s.bound  # type: ignore[attr-defined]
    return isinstance(s, ast.If) and all(is_idle(x) for x in (*s.body, *s.orelse))


def counted(loop: ast.For) -> ast.For:
    """`for i, x in enumerate(xs)` with i unread is `for x in xs`."""
    t, i = loop.target, loop.iter
    if (
        isinstance(t, ast.Tuple)
        and isinstance(t.elts[0], ast.Name)
        and isinstance(i, ast.Call)
        and isinstance(i.func, ast.Name)
        and i.func.id == "enumerate"
        and len(i.args) == 1
        and len(t.elts) == 2
    ):
        loop.counter = t.elts[0].id  # type: ignore[attr-defined]
    return loop
