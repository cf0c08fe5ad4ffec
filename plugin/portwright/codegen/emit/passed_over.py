"""Stores to a name in branches that no run took: whoever relies on the name's value relies on those branches, too."""

from __future__ import annotations

import ast
from itertools import pairwise
from typing import TYPE_CHECKING

from portwright.codegen.emit.stores import ancestors
from portwright.codegen.facts.record import Demand
from portwright.codegen.source import number

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope


def passed_over(scope: Scope, read: ast.Name) -> tuple[Demand, ...]:
    """Demands that each branch which would have given a name another value, before this read of it, is refused.

    They are needed where the name's value goes into the port without the name: as a literal, as a config field.
    """
    line = getattr(read, "lineno", 0) or 0
    tests = [
        test
        for store, test in scope.unreached_stores.get(read.id, ())
        if not line or store.lineno < line or is_looped(scope, store)
    ]
    return tuple(dict.fromkeys(Demand("guard", scope.trace.fid, number(test)) for test in tests))


def unreached_stores(scope: Scope) -> dict[str, list[tuple[ast.Name, ast.expr]]]:
    """By name, the stores that no run came to, each with the one-sided test that kept every run away."""
    found: dict[str, list[tuple[ast.Name, ast.expr]]] = {}
    for node in scope.function.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            test = one_sided(scope, node)
            if test is not None:
                found.setdefault(node.id, []).append((node, test))
    return found


def one_sided(scope: Scope, node: ast.AST) -> ast.expr | None:
    """The test of the outermost branch around a node that always went the other way."""
    for inner, outer in reversed(list(pairwise([node, *ancestors(scope, node)]))):
        if isinstance(outer, (ast.If, ast.While)) and inner is not outer.test:
            truth = scope.truth(outer.test)
            if len(truth) == 1 and (inner in outer.body) != next(iter(truth)):
                return outer.test
    return None


def is_looped(scope: Scope, node: ast.AST) -> bool:
    return any(isinstance(a, (ast.For, ast.While)) for a in ancestors(scope, node))
