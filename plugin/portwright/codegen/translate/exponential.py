"""The exponential, with its last digits where they are frequencies: a timestep of a thousand multiplies each error."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.emit.provenance import assigned
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.quote import call
from portwright.codegen.translate.registry import Layout, Operation, row

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

COUNTS = ("arange", "linspace")
CASTS = ("float", "double", "to", "type")

PRECISE_EXP = '''def precise_exp(x):
    """The exponential of constants to the last digit: `mx.exp` may miss three bits, which a timestep multiplies."""
    return mx.array([math.exp(v) for v in x.flatten().tolist()], dtype=x.dtype).reshape(x.shape)
'''

EXPONENTIAL_SNIPPETS = {"precise_exp": PRECISE_EXP}
EXPONENTIAL_IMPORTS = {"precise_exp": ("import math",)}


@row("exp", "input", Layout.ELEMENTWISE)
def exponential(op: Operation) -> ast.expr:
    """Of numbers that are counted out here, whatever the inputs are, the precise one."""
    if counts(op.scope, op.raw["input"], frozenset()):
        return ask(call("precise_exp", op["input"]), Demand("snippet", "precise_exp"))
    return call("mx.exp", op["input"])


def counts(scope: Scope, node: ast.expr, inside: frozenset[str]) -> bool:
    """Whether a tensor is made of what `arange` counts and of plain numbers. `inside`: names that are being asked."""
    if isinstance(node, ast.Name) and node.id in scope.locals and node.id not in scope.params:
        if node.id in inside:
            return True
        values = assigned(scope, lambda t: isinstance(t, ast.Name) and t.id == node.id)
        return bool(values) and all(counts(scope, v, inside | {node.id}) for v in values)
    if isinstance(node, ast.UnaryOp):
        return counts(scope, node.operand, inside)
    if isinstance(node, ast.BinOp):
        sides = [x for x in (node.left, node.right) if "tensor" in scope.kinds(x)]
        return bool(sides) and all(counts(scope, x, inside) for x in sides)
    if isinstance(node, ast.Call):
        names = {c.name for c in scope.seen(node).callees if c.torch}
        if isinstance(node.func, ast.Attribute) and names and names <= set(CASTS):
            return counts(scope, node.func.value, inside)
        return bool(names) and names <= set(COUNTS)
    return False
