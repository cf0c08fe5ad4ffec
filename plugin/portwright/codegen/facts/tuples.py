"""The parts of a tuple that is put together from others: `(x,) + outputs[1:]`, `outputs = (x, y); return outputs`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from portwright.codegen.quote import loads, plain

if TYPE_CHECKING:
    from portwright.codegen.facts.returns import Result
    from portwright.codegen.program import Function


def elements_of(function: Function, value: ast.expr, known: Mapping[str, Result]) -> list[ast.expr] | None:
    """The expressions of a tuple's elements, in order; None where they cannot be told one by one."""
    if isinstance(value, ast.Tuple):
        return None if any(isinstance(e, ast.Starred) for e in value.elts) else list(value.elts)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) and function.seen(value).kinds == {"tuple"}:
        left, right = elements_of(function, value.left, known), elements_of(function, value.right, known)
        return [*left, *right] if left is not None and right is not None else None
    if isinstance(value, ast.Name):
        made = only_value(function, value.id)
        if made is None or isinstance(made[0], (ast.Name, ast.Call)) or stored_after(function, loads(made[0]), made[1]):
            return None
        return elements_of(function, made[0], known)
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and isinstance(value.slice, ast.Slice):
        return slice_of_result(function, value.value, value.slice, known)
    return None


def slice_of_result(
    function: Function, name: ast.Name, cut: ast.Slice, known: Mapping[str, Result]
) -> list[ast.expr] | None:
    """`outputs[1:]` of a name that holds a call's result, as `outputs[1]`, `outputs[2]`, ..."""
    bounds = [plain(b) for b in (cut.lower, cut.upper) if b is not None]
    made = only_value(function, name.id)
    if cut.step is not None or not all(isinstance(b, int) for b in bounds) or made is None:
        return None
    fids = {c.fid for c in function.seen(made[0]).callees} if isinstance(made[0], ast.Call) else set()
    sizes = {known[f].size if f in known else -1 for f in fids}
    if len(sizes) != 1 or -1 in sizes:
        return None
    low, high = (plain(b) if b is not None else None for b in (cut.lower, cut.upper))
    places = range(sizes.pop())[slice(low, high)]
    return [ast.Subscript(ast.Name(name.id, ast.Load()), ast.Constant(i), ast.Load()) for i in places]


def only_value(function: Function, name: str) -> tuple[ast.expr, int] | None:
    """The value of the one assignment of a name that ran, and its last line; None where others bind it too."""
    found: list[tuple[ast.expr, int]] = []
    simple = 0
    for s in ast.walk(function.tree):
        if isinstance(s, ast.Assign) and len(s.targets) == 1 and is_name(s.targets[0], name):
            simple += 1
            found += [(s.value, s.end_lineno or s.lineno)] if ran(function, s.value) else []
    bound = sum(is_name(n, name) and isinstance(n.ctx, ast.Store) for n in ast.walk(function.tree))  # type: ignore[attr-defined]
    return found[0] if len(found) == 1 and bound == simple and name not in function.parameters else None


def is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def ran(function: Function, value: ast.expr) -> bool:
    return any(function.seen(n).n > 0 for n in ast.walk(value) if isinstance(n, ast.expr))


def stored_after(function: Function, names: set[str], line: int) -> bool:
    """Whether a later line binds one of these names again."""
    return any(
        isinstance(n, ast.Name) and n.id in names and isinstance(n.ctx, ast.Store) and n.lineno > line
        for n in ast.walk(function.tree)
    )
