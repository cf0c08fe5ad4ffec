"""Code that walks through modules and puts others in their places, as constructors that freeze layers do."""

from __future__ import annotations

import ast

from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.quote import quote
from portwright.codegen.trace import Callee

WALKS = {"named_children": "named_children(x)", "children": "[child for _, child in named_children(x)]"}


def children_call(scope: Scope, n: ast.Call, callee: Callee) -> ast.expr | None:
    """`module.named_children()` and `module.children()`; None for any other call."""
    if not callee.torch or callee.name not in WALKS or not isinstance(n.func, ast.Attribute) or n.args or n.keywords:
        return None
    made = quote(WALKS[callee.name], x=scope.expr(n.func.value))
    return ask(made, Demand("snippet", "named_children"))


def replaced_child(scope: Scope, target: ast.Subscript, translated: ast.expr) -> ast.stmt | None:
    """`module._modules[name] = other`; None for any other assignment."""
    held = target.value
    if not (isinstance(held, ast.Attribute) and held.attr == "_modules" and scope.kinds(held.value) == {"module"}):
        return None
    stored = ast.Subscript(scope.expr(held.value), scope.expr(target.slice), ast.Store())
    return ast.Assign([stored], translated)


def copied(scope: Scope, held: ast.expr, value: ast.expr) -> ast.Attribute | None:
    """The attribute that `module.weight.copy_(value)` sets to an array of the same shape; None for any other copy."""
    if not (isinstance(held, ast.Attribute) and scope.kinds(held.value) == {"module"}):
        return None
    ours, given = scope.seen(held), scope.seen(value)
    alike = ours.shapes == given.shapes and ours.dtypes == given.dtypes and scope.rank(held) == 1
    return ast.copy_location(ast.Attribute(held.value, held.attr, ast.Store()), held) if alike else None
