"""Replace a call of a one-expression function by the expression."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portwright.codegen.emit.work import Work

SIMPLE = (ast.Name, ast.Constant)


def is_simple(node: ast.expr) -> bool:
    """Cheap to repeat: a name, a constant, an attribute of a name."""
    return isinstance(node, SIMPLE) or (isinstance(node, ast.Attribute) and is_simple(node.value))


def inlined(work: Work, fids: tuple[str, ...], node: ast.Call) -> ast.expr | None:
    """The callee's expression with the arguments in place; None where the call must stay."""
    done = work.finished(fids[0])
    if done is None or done.vararg or not done.inlinable:
        return None
    body = done.body[0]
    assert isinstance(body, ast.Return) and body.value is not None
    values: dict[str, ast.expr] = dict(zip(done.kept, node.args, strict=False))
    values |= {k.arg: k.value for k in node.keywords if k.arg}
    if any(isinstance(a, ast.Starred) for a in node.args) or set(done.kept) - set(values):
        return None
    for name in done.kept:
        uses = sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(body.value))
        if uses > 1 and not is_simple(values[name]):
            return None
    made = _Put(values).visit(copy.deepcopy(body.value))
    assert isinstance(made, ast.expr)
    return made


class _Put(ast.NodeTransformer):
    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.values[node.id]) if node.id in self.values else node
