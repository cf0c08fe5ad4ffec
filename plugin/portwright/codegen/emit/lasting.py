"""Whether a statement that is left out would have done something that lasts."""

from __future__ import annotations

import ast

from portwright.codegen.emit.assign import is_layers_own
from portwright.codegen.emit.effects import DROPPED
from portwright.codegen.emit.refusal import is_refusal
from portwright.codegen.emit.scope import Scope


def has_effect(scope: Scope, s: ast.stmt) -> bool:
    """Whether a statement does more than bind local names and attributes that nothing reads."""
    for n in ast.walk(s):
        if isinstance(n, (ast.Return, ast.Continue, ast.Break, ast.Delete)):
            return True
        if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and is_stored_for_use(scope, n):
            return True
        if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store):
            return True
        if isinstance(n, ast.Assign) and any(is_layers_own(scope, t, n.value) for t in n.targets):
            return True
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) and not is_refusal(n):
            f = n.value.func
            if not (isinstance(f, ast.Attribute) and f.attr in DROPPED):
                return True
    return False


def is_stored_for_use(scope: Scope, n: ast.Attribute) -> bool:
    """Whether the port may read an attribute that a statement stores, in a module or in a config object."""
    facts = scope.facts
    if isinstance(n.value, ast.Name) and n.value.id == scope.self_name:
        return facts.reads((scope.trace.owner, f"{scope.trace.owner}#none"), n.attr)
    types = scope.seen(n.value).types
    if types and "module" in scope.kinds(n.value):
        return any(facts.reads(scope.program.lineage(cls), n.attr) for cls in types)
    read = {name for _, name in (*facts.live, *facts.config)} | facts.names  # of a config, or it never ran
    return n.attr in read
