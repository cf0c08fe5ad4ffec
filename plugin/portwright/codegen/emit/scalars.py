"""Numbers that torch holds as tensors of no axis: they never widen what they meet, as an MLX array would.

Source: torch's type promotion, https://docs.pytorch.org/docs/stable/tensor_attributes.html (a tensor without axes takes
the dtype of one with axes where both are of one category).
"""

from __future__ import annotations

import ast

from portwright.codegen.emit.scope import Scope

FLOATING = frozenset({"float32", "float64"})


def stays_number(scope: Scope, made: ast.expr) -> bool:
    """Whether a tensor of no axis, made of a number, may be that number in the port: it only meets other tensors.

    `made` is the call that makes it: an operand itself, or what a local name holds until it has met one with axes.
    """
    seen, parent = scope.seen(made), scope.function.parents.get(made)
    if seen.ranks != {0} or not seen.dtypes or not seen.dtypes <= FLOATING:
        return False
    if isinstance(parent, (ast.BinOp, ast.AugAssign)):
        return is_tensor(scope, partner(parent, made))
    if not (isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name)):
        return False
    name = parent.targets[0].id
    if name in scope.nested_reads:
        return False
    reads = [n for n in scope.function.nodes if isinstance(n, ast.Name) and n.id == name and n is not parent.targets[0]]
    return all(is_met(scope, read) for read in reads)


def is_met(scope: Scope, read: ast.Name) -> bool:
    """Whether a name is an operand beside a tensor here, or holds one with axes by now."""
    around = scope.function.parents.get(read)
    if isinstance(around, (ast.BinOp, ast.AugAssign)):
        return is_tensor(scope, partner(around, read))
    seen = scope.seen(read)
    return isinstance(read.ctx, ast.Store) or (bool(seen.ranks) and 0 not in seen.ranks)


def partner(around: ast.BinOp | ast.AugAssign, node: ast.expr) -> ast.expr:
    if isinstance(around, ast.AugAssign):
        return around.target if node is around.value else around.value
    return around.left if node is around.right else around.right


def is_tensor(scope: Scope, node: ast.expr) -> bool:
    """Whether an operand was a tensor with axes, whenever it was seen."""
    seen = scope.seen(node)
    return seen.kinds == {"tensor"} and bool(seen.ranks) and 0 not in seen.ranks
