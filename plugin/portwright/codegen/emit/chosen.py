"""Which function a local name holds: what a look-up or a branch chose, and what the port takes for granted with it."""

from __future__ import annotations

import ast

from portwright.codegen.emit.provenance import over_config
from portwright.codegen.emit.prune import decide
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand
from portwright.codegen.holes import Assumption
from portwright.codegen.quote import literal, stores


def choice_demands(scope: Scope, function: ast.expr) -> list[Demand]:
    """The assumptions of a call through a local name: the tests and look-up keys that decided what it holds."""
    if isinstance(function, ast.Subscript):
        return key_demands(scope, function)
    if not (isinstance(function, ast.Name) and function.id in scope.locals and function.id not in scope.params):
        return []
    out: list[Demand] = []

    def walk(statements: list[ast.stmt]) -> None:
        for s in statements:
            if isinstance(s, ast.If):
                truth = scope.truth(s.test)
                if function.id in stores(s) and len(truth) == 1:
                    assumption = decide(scope, s.test).assumption
                    out.extend([Demand("assume", assumption)] if assumption is not None else [])
                walk(s.body if True in truth else [])
                walk(s.orelse if False in truth else [])
            elif isinstance(s, ast.Assign) and function.id in stores(s):
                out.extend(d for n in ast.walk(s.value) for d in key_demands(scope, n))
            elif isinstance(s, (ast.For, ast.While, ast.With)):
                walk(s.body)

    walk(scope.tree.body)
    return out


def key_demands(scope: Scope, node: ast.AST) -> list[Demand]:
    """`TABLE[key]` of a table of functions: the port holds for the key that was seen."""
    if not (isinstance(node, ast.Subscript) and scope.kinds(node) & {"callable"} and scope.seen(node.slice).const):
        return []
    value = scope.seen(node.slice).consts[0]
    config = over_config(scope, node.slice)
    checked = "construction" if config is not None else "no"
    test = ast.unparse(ast.Compare(config, [ast.Eq()], [literal(value)])) if config is not None else ""
    text = f"{ast.unparse(node.slice)} == {value!r}"
    return [Demand("assume", Assumption(scope.where(node), text, True, checked, test))]
