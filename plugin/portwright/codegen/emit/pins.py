"""Pin the config fields that a test is made of, where what it makes of them cannot be asked of a config.

`self.mode is Mode.A` after `self.mode = Mode(mode)` asks nothing that a config holds, but only `mode` can change it.
"""

from __future__ import annotations

import ast

from portwright.codegen.emit.provenance import DEPTH, assigned, is_self_attribute, over_config
from portwright.codegen.emit.scope import Scope
from portwright.codegen.quote import is_literal, literal

Pins = dict[str, ast.expr]  # a field -> that it is what it was


def pinned(scope: Scope, test: ast.expr) -> ast.expr | None:
    """That each field which an expression is made of is what it was; None where it is made of anything else too."""
    found = sources(scope, test, 0)
    if not found:
        return None
    parts = [found[k] for k in sorted(found)]
    return parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts)


def sources(scope: Scope, node: ast.expr, depth: int) -> Pins | None:
    """What an expression reads, None where something is no config field."""
    seen = scope.seen(node)
    if depth > DEPTH or seen.kinds & {"tensor", "module", "output"}:
        return None
    if is_literal(node):
        return {}
    config = over_config(scope, node)
    if config is not None:
        operator: ast.cmpop = ast.Is() if seen.const and seen.consts[0] is None else ast.Eq()
        pin = ast.Compare(config, [operator], [literal(seen.consts[0])]) if seen.const else None
        return {ast.unparse(config): pin} if pin is not None else None
    if isinstance(node, ast.Name):
        ref = scope.global_(node.id)
        if ref is not None and ref.sort in ("class", "const", "module"):
            return {}
        values = assigned(scope, lambda t: isinstance(t, ast.Name) and t.id == node.id)
        single = len(values) == 1 and node.id not in scope.params and scope.reached_stores.get(node.id) == 1
        return sources(scope, values[0], depth + 1) if single else None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == scope.self_name:
        fid = scope.program.init_of(scope.trace.owner)
        inner = (scope if fid == scope.trace.fid else scope.work.scope(fid)) if fid else None
        values = assigned(inner, lambda t: is_self_attribute(inner, t, node.attr)) if inner is not None else []
        return sources(inner, values[0], depth + 1) if inner is not None and len(values) == 1 else None
    if isinstance(node, ast.Call):
        method = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        return together(scope, [*method, *node.args, *[k.value for k in node.keywords]], depth)
    if isinstance(node, (ast.Attribute, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Subscript, ast.Tuple)):
        return together(scope, [x for x in ast.iter_child_nodes(node) if isinstance(x, ast.expr)], depth)
    return None


def together(scope: Scope, nodes: list[ast.expr], depth: int) -> Pins | None:
    """The pins of several expressions."""
    out: Pins = {}
    for node in nodes:
        found = sources(scope, node, depth + 1)
        if found is None:
            return None
        out |= found
    return out
