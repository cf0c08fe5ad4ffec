"""Sizes in rules: whole numbers computed from config fields, `"num_attention_heads * attention_head_dim"`.

The expression is parsed by Python's own parser and walked here over a short list of allowed nodes; nothing is ever
evaluated as Python.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

_LIMIT = 1 << 48  # no axis is longer
_HINT = "allowed: whole numbers, config fields such as hidden_size or text_config.hidden_size, + - * // and parentheses"


class SizeError(ValueError):
    """An expression that cannot be parsed or computed, with the likely fix."""

    def __init__(self, problem: str, hint: str = _HINT) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def parse_size(text: str) -> ast.expr:
    """Parse an expression; raises SizeError where it is not plain arithmetic."""
    if len(text) > 200:
        raise SizeError("the expression is longer than 200 characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SizeError(f"{text!r} is not an expression") from None
    _check(tree, text)
    return tree


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            pass
        case ast.Name():
            pass
        case ast.Attribute(value=ast.Name() | ast.Attribute() | ast.Subscript() as inner):
            _check(inner, text)
        case ast.Subscript(value=inner, slice=ast.Constant(value=int())):
            _check(inner, text)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            _check(inner, text)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.FloorDiv(), right=right):
            _check(left, text)
            _check(right, text)
        case _:
            raise SizeError(f"{text!r} holds {ast.unparse(node)!r}, which is not allowed in a size")


class Sizes:
    """The names that a rule's sizes may use: those of `[sizes]` first, then the config's fields."""

    def __init__(self, expressions: Mapping[str, str | int], config: Mapping[str, Any]) -> None:
        self._expressions = expressions
        self._config = config
        self._open: list[str] = []

    def value(self, expression: str | int) -> int:
        """Compute an expression; raises SizeError naming what is missing or out of range."""
        if isinstance(expression, int):
            return expression
        result = self._compute(parse_size(expression))
        if not isinstance(result, int) or isinstance(result, bool):
            raise SizeError(f"{expression!r} is {result!r}, not a whole number")
        return result

    def _compute(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute(value=inner, attr=name):
                return self._field(self._compute(inner), name, ast.unparse(inner))
            case ast.Subscript(value=inner, slice=ast.Constant(value=index)):
                items = self._compute(inner)
                if not isinstance(items, list) or not isinstance(index, int) or not 0 <= index < len(items):
                    raise SizeError(f"{ast.unparse(node)!r} does not exist in the config")
                return items[index]
            case ast.UnaryOp(operand=inner):
                return self._bounded(-self._number(inner))
            case ast.BinOp(left=left, op=op, right=right):
                one, other = self._number(left), self._number(right)
                match op:
                    case ast.Add():
                        return self._bounded(one + other)
                    case ast.Sub():
                        return self._bounded(one - other)
                    case ast.Mult():
                        return self._bounded(one * other)
                if other == 0:
                    raise SizeError(f"{ast.unparse(node)!r} divides by zero")
                if one % other:
                    raise SizeError(f"{ast.unparse(node)!r} is {one} // {other}, which leaves a remainder")
                return one // other
        raise SizeError(f"{ast.unparse(node)!r} is not allowed in a size")

    def _name(self, name: str) -> Any:
        if name not in self._expressions:
            return self._field(self._config, name, "")
        if name in self._open:
            raise SizeError(f"[sizes] {' -> '.join([*self._open, name])} goes in a circle", "")
        self._open.append(name)
        try:
            return self.value(self._expressions[name])
        finally:
            self._open.pop()

    def _field(self, holder: Any, name: str, path: str) -> Any:
        if isinstance(holder, Mapping) and holder.get(name) is not None:
            return holder[name]
        known = [*map(str, holder), *self._expressions] if isinstance(holder, Mapping) else []
        close = get_close_matches(name, known, n=3)
        full = f"{path}.{name}" if path else name
        hint = f"did you mean {', '.join(close)}?" if close else "the config must give it, or [sizes] must define it"
        raise SizeError(f"the config has no {full!r}", hint)

    def _number(self, node: ast.expr) -> int:
        value = self._compute(node)
        if not isinstance(value, int) or isinstance(value, bool):
            raise SizeError(f"{ast.unparse(node)!r} is {value!r}, not a whole number")
        return self._bounded(value)

    def _bounded(self, value: int) -> int:
        if abs(value) > _LIMIT:
            raise SizeError(f"a size of {value} is out of range")
        return value
