"""Decide what is decided in an expression over config fields: comparisons of literals, `x or True`."""

from __future__ import annotations

import ast
import copy

from portwright.codegen.quote import is_literal


def chosen_arms(node: ast.expr) -> ast.expr:
    """`a if True else b` as a, wherever it stands."""

    class Arms(ast.NodeTransformer):
        def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
            self.generic_visit(node)
            test = reduced(node.test)
            return (node.body if test.value else node.orelse) if isinstance(test, ast.Constant) else node

    made = Arms().visit(copy.deepcopy(node))
    assert isinstance(made, ast.expr)
    return made


def reduced(node: ast.expr) -> ast.expr:
    """Decide what is decided: `None is not None`, `False and x`."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
        left, right = node.left, node.comparators[0]
        if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            return ast.Constant((left.value is right.value) == isinstance(node.ops[0], ast.Is))
    if isinstance(node, ast.Compare) and all(is_literal(x) for x in (node.left, *node.comparators)):
        return compared(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = reduced(node.operand)
        return ast.Constant(not inner.value) if isinstance(inner, ast.Constant) else ast.UnaryOp(node.op, inner)
    if isinstance(node, ast.BoolOp):
        passing = isinstance(node.op, ast.And)
        parts = [reduced(v) for v in node.values]
        if any(isinstance(p, ast.Constant) and bool(p.value) != passing for p in parts):
            return ast.Constant(not passing)
        parts = [p for p in parts if not isinstance(p, ast.Constant)]
        if not parts:
            return ast.Constant(passing)
        return parts[0] if len(parts) == 1 else ast.BoolOp(node.op, parts)
    return node


def compared(node: ast.Compare) -> ast.expr:
    """The value of a comparison of literals; one that Python refuses stays."""
    try:
        return ast.Constant(bool(eval(compile(ast.fix_missing_locations(ast.Expression(node)), "", "eval"), {})))
    except TypeError:
        return node
