"""Places of values as the numbers that torch has them in: MLX counts places without a sign."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.quote import quote
from portwright.codegen.translate.registry import Operation

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

INDEXED = frozenset({"gather", "index_select", "take_along_dim", "embedding", "one_hot", "scatter", "scatter_"})
RESHAPES = frozenset({"unsqueeze", "view", "reshape", "expand", "squeeze", "flatten", "contiguous"})


def signed(op: Operation, places: ast.expr, result: int | None = None) -> ast.expr:
    """Places as numbers that may become negative, as torch has them; what only looks something up needs no cast."""
    return places if looks_up(op.scope, op.node, result) else quote("x.astype(mx.int32)", x=places)


def looks_up(scope: Scope, node: ast.expr, result: int | None, depth: int = 0) -> bool:
    """Whether an expression of places, or the name that it is bound to, is used as an index and nothing else."""
    parents = scope.function.parents
    above = parents.get(node)
    if result is not None and isinstance(above, ast.Attribute):
        return above.attr == "values" or looks_up(scope, above, None, depth)
    if result is not None and isinstance(above, ast.Subscript) and above.value is node:
        return ast.unparse(above.slice) != str(result) or looks_up(scope, above, None, depth)
    if isinstance(above, ast.Subscript) and above.slice is node:
        return True
    if isinstance(above, ast.Tuple) and isinstance(parents.get(above), ast.Subscript):
        return parents[above].slice is above  # type: ignore[attr-defined]
    if (
        isinstance(above, ast.Attribute)
        and above.attr in RESHAPES
        and isinstance(outer := parents.get(above), ast.Call)
    ):
        return looks_up(scope, outer, None, depth)
    if isinstance(above, ast.Call) and node in above.args:
        return bool(scope.seen(above).callees) and all(c.torch and c.name in INDEXED for c in scope.seen(above).callees)
    if not (isinstance(above, ast.Assign) and len(above.targets) == 1) or depth > 3:
        return False
    target = above.targets[0]
    if result is not None:
        target = target.elts[result] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else ast.Constant(0)
    if not isinstance(target, ast.Name) or scope.reached_stores.get(target.id) != 1:
        return False
    return all(looks_up(scope, x, None, depth + 1) for x in scope.function.nodes_named(target.id))
