"""Build syntax trees from templates."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable
from functools import lru_cache
from typing import Any


class _Fill(ast.NodeTransformer):
    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.values[node.id]) if node.id in self.values else node


@lru_cache(maxsize=4096)
def _parsed(template: str) -> ast.expr:
    return ast.parse(template, mode="eval").body


def quote(template: str, **values: ast.expr) -> ast.expr:
    """Parse an expression and put the given trees in the place of the names that match."""
    filled = _Fill(values).visit(copy.deepcopy(_parsed(template)))
    assert isinstance(filled, ast.expr)
    return filled


def literal(value: Any) -> ast.expr:
    """The tree of a plain value, a tuple, list or dict of such."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return quote(f'float("{value}")')
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return ast.Constant(value)
    if isinstance(value, tuple):
        return ast.Tuple([literal(v) for v in value], ast.Load())
    if isinstance(value, list):
        return ast.List([literal(v) for v in value], ast.Load())
    if isinstance(value, dict):
        return ast.Dict([literal(k) for k in value], [literal(v) for v in value.values()])
    raise TypeError(f"no literal for {value!r}")


def plain(node: ast.AST | None) -> Any:
    """The value of a literal tree; None where it is none (use `is_literal` to tell a literal None apart)."""
    try:
        return ast.literal_eval(node)  # type: ignore[arg-type]
    except (ValueError, TypeError, SyntaxError, MemoryError):
        return None


def is_literal(node: ast.AST | None) -> bool:
    try:
        ast.literal_eval(node)  # type: ignore[arg-type]
    except (ValueError, TypeError, SyntaxError, MemoryError):
        return False
    return True


def is_none(node: ast.AST | None) -> bool:
    """Whether an argument is absent or the literal None."""
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def call(function: ast.expr | str, *args: ast.expr, **keywords: ast.expr | None) -> ast.Call:
    """A call; keywords that are None (absent) are left out."""
    f = quote(function) if isinstance(function, str) else function
    return ast.Call(f, list(args), [ast.keyword(k, v) for k, v in keywords.items() if v is not None])


def method(receiver: ast.expr, name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(receiver, name, ast.Load()), list(args), [])


def tuple_of(items: Iterable[ast.expr]) -> ast.Tuple:
    return ast.Tuple(list(items), ast.Load())


def loads(node: ast.AST) -> set[str]:
    """Names that a tree reads."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def stores(node: ast.AST) -> set[str]:
    """Names that a tree binds."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del))}
