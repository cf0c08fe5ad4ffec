"""What stands in a port for a statement that cannot be translated."""

from __future__ import annotations

import ast

from portwright.codegen.emit.assign import target
from portwright.codegen.emit.effects import CONTAINER_CHANGES
from portwright.codegen.emit.scope import Scope
from portwright.codegen.holes import HoleError, marker, raising

DEFECTS = (KeyError, IndexError, AttributeError, TypeError, ValueError, AssertionError)


def hole(scope: Scope, source: ast.stmt, reason: str) -> list[ast.stmt]:
    """A hole in an assignment counts only if its value is read; any other counts at once."""
    reads = translatable(scope, source) if scope.work.settled else []
    if (
        isinstance(source, ast.Assign)
        and len(source.targets) == 1
        and isinstance(source.targets[0], (ast.Name, ast.Tuple))
    ):
        try:
            made: ast.stmt = ast.Assign([target(scope, source.targets[0])], marker(source, reason, reads))
        except HoleError:
            made = raising(source, reason, reads)
    elif (changed := changed_container(scope, source)) is not None:
        made = ast.Assign([ast.Name(changed, ast.Store())], marker(source, reason, reads))
    else:
        made = raising(source, reason, reads)
    made.origin = source.lineno  # type: ignore[attr-defined]
    return [made]


def changed_container(scope: Scope, source: ast.stmt) -> str | None:
    """The local name of the list or dict that a statement adds to: the statement counts where that is read."""
    f = source.value.func if isinstance(source, ast.Expr) and isinstance(source.value, ast.Call) else None
    if not (isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.attr in CONTAINER_CHANGES):
        return None
    own = f.value.id in scope.locals and f.value.id not in scope.params
    return f.value.id if own and scope.kinds(f.value) <= {"list", "dict", "set"} else None


def translatable(scope: Scope, source: ast.stmt) -> list[ast.expr]:
    """The largest parts of a hole that can be translated: whoever fills it finds what feeds them in the port."""
    out: list[ast.expr] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del)):
            try:
                out.append(scope.expr(node))
                return
            except (HoleError, *DEFECTS):
                pass  # its own parts, then
        for child in ast.iter_child_nodes(node):
            visit(child)

    for child in ast.iter_child_nodes(source):
        visit(child)
    return [x for x in out if not isinstance(x, ast.Constant)]
