"""Refusals in front of an assignment: what chose a callee that the port writes out elsewhere by its own name."""

from __future__ import annotations

import ast

from portwright.codegen.emit.provenance import over_config
from portwright.codegen.emit.prune import decide
from portwright.codegen.emit.scope import Scope
from portwright.codegen.quote import literal
from portwright.codegen.source import number


def guards(scope: Scope, value: ast.expr) -> list[ast.stmt]:
    """Refusals where `a if test else b`, or an item that is looked up, chose what is written out by its own name."""
    from portwright.codegen.emit.statements import refuse

    out: list[ast.stmt] = []
    inside = [x for x in ast.walk(value) if isinstance(x, ast.expr)] if scope.facts.guards else []
    tests = {id(x.test) for x in inside if isinstance(x, ast.IfExp)}
    for x in inside:
        if (scope.trace.fid, number(x)) not in scope.facts.guards:
            continue
        if id(x) in tests:
            decision = decide(scope, x)
            check = refuse(scope, ast.copy_location(ast.If(x, [], []), x), decision.guard, [])
            check.assumption = decision.assumption  # type: ignore[attr-defined]
        elif over_config(scope, x) is not None:  # since it was asked for, it has been traced
            continue
        else:
            check = other_value(scope, x)
        check.effects, check.bound = True, frozenset()  # type: ignore[attr-defined]
        out.append(check)
    return out


def other_value(scope: Scope, node: ast.expr) -> ast.stmt:
    """A refusal of any other value than the one that chose."""
    seen = literal(scope.seen(node).consts[0])
    text = ast.JoinedStr([ast.Constant(f"not ported: {ast.unparse(node)} = "), shown(scope.expr(node))])
    error = ast.Raise(ast.Call(ast.Name("NotImplementedError", ast.Load()), [text], []), None)
    check = ast.If(ast.Compare(scope.expr(node), [ast.NotEq()], [seen]), [error], [])
    check.assumption, check.origin = None, node.lineno  # type: ignore[attr-defined]
    return check


def shown(node: ast.expr) -> ast.FormattedValue:
    return ast.FormattedValue(node, ord("r"), None)
