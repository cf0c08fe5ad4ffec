"""Where a function binds a name."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope


def stores_of(scope: Scope, title: str, reached: bool = False) -> list[ast.stmt]:
    """The statements that bind a name; with `reached`, without those in branches that no run took."""
    names = [n for n in scope.function.nodes if isinstance(n, ast.Name) and n.id == title]
    unreached = {n for n, _ in scope.unreached_stores.get(title, ())} if reached else set()
    bound = [n for n in names if isinstance(n.ctx, ast.Store) and n not in unreached]
    return [next(a for a in ancestors(scope, n) if isinstance(a, ast.stmt)) for n in bound]


def ancestors(scope: Scope, node: ast.AST) -> list[ast.AST]:
    """What a node is a part of, the nearest first; the function itself is the last."""
    out = []
    while node in scope.function.parents:
        node = scope.function.parents[node]
        out.append(node)
    return out
