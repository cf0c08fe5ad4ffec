"""What could not be translated, and what the port takes for granted."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar


class HoleError(Exception):
    """Raised inside the engine where a statement cannot be translated; becomes a `Hole` with its source."""


@dataclass(frozen=True)
class Hole:
    """A statement of the reference that the port raises at."""

    where: str  # function and line
    reason: str
    source: str


@dataclass(frozen=True)
class Assumption:
    """A test that was seen to go one way only, so that the other way is not in the port."""

    where: str
    test: str
    value: bool
    checked: str  # "construction" | "call" | "no"
    config: str = ""  # the test as an expression over config fields, for construction


class Raise(ast.Raise):
    """What a hole leaves in the port. `reads` is what its source reads, kept alive for whoever fills it, and unseen."""

    _fields = (*ast.Raise._fields, "reads")
    _field_types: ClassVar[dict[str, Any]] = {**getattr(ast.Raise, "_field_types", {}), "reads": list[ast.expr]}
    reads: list[ast.expr]


def marker(statement: ast.stmt, reason: str, reads: Iterable[ast.expr] = ()) -> ast.Call:
    """A value that stands for a hole until it is known whether anything reads it."""
    text = ast.Constant(ast.unparse(ast.fix_missing_locations(statement)))
    node = ast.Call(ast.Name("__hole__", ast.Load()), [text, *reads], [])
    node.hole = reason  # type: ignore[attr-defined]
    return node


def raising(statement: ast.stmt, reason: str, reads: Iterable[ast.expr] = ()) -> ast.Raise:
    """The statement that a hole leaves in the port."""
    return raised(ast.unparse(ast.fix_missing_locations(statement)), reason, reads)


def raised(source: str, reason: str, reads: Iterable[ast.expr]) -> Raise:
    node = Raise(raise_error("NotImplementedError", source).exc, None)
    node.reads = list(reads)
    node.hole = reason  # type: ignore[attr-defined]
    return node


def raise_error(kind: str, text: str) -> ast.Raise:
    return ast.Raise(ast.Call(ast.Name(kind, ast.Load()), [ast.Constant(text)], []), None)
