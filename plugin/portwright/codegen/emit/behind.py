"""The config fields behind a value in a constructor, so that a refusal can name what a person has set."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from portwright.codegen.emit.provenance import assigned, config_field, is_nested_config, is_self_attribute
from portwright.codegen.emit.scope import Scope
from portwright.codegen.emit.stores import ancestors
from portwright.codegen.facts.record import Demand
from portwright.codegen.program import Function

MOST = 6  # fields that a message names


def named_fields(scope: Scope, node: ast.expr) -> str:
    """` (from a, b)` with the config fields that decide a value and that its own text does not name, or ""."""
    text = ast.unparse(node)
    found = sorted(f for f in fields_behind(scope, node) if f not in text)
    return f" (from {', '.join(found)})" if 0 < len(found) <= MOST else ""


def given_fields(scope: Scope, n: ast.Call, callee: Function, given: dict[str, ast.expr]) -> Iterator[Demand]:
    """What a call site says about the callee's parameters: the fields behind each, or else behind the call itself."""
    if callee.fid not in scope.program.constructing or scope.trace.fid not in scope.program.constructing:
        return
    whole = frozenset().union(*(fields_behind(scope, test) for test in tests_around(scope, n)))
    for q, value in given.items():
        yield Demand("behind", callee.fid, q, fields_behind(scope, value) or whole)


def fields_behind(scope: Scope, node: ast.expr) -> frozenset[str]:
    """The fields that an expression reads, itself or through names, arguments and attributes of self."""
    found: set[str] = set()
    _collect(scope, node, found, set())
    return frozenset(found)


def _collect(scope: Scope, node: ast.AST, found: set[str], asked: set[tuple[str, str]]) -> None:
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute):
            field = config_field(scope, n)
            if field and not is_nested_config(scope):
                found.add(field)
            elif is_self_attribute(scope, n, n.attr):
                _attribute(scope, n.attr, found, asked)
        elif isinstance(n, ast.Name) and (scope.trace.fid, n.id) not in asked:
            asked.add((scope.trace.fid, n.id))
            _name(scope, n.id, found, asked)


def _name(scope: Scope, name: str, found: set[str], asked: set[tuple[str, str]]) -> None:
    if name in scope.params:
        explicit = scope.is_root_init and scope.program.trace.config_style != "object"
        found |= {name} if explicit else scope.facts.behind.get((scope.trace.fid, name), frozenset())
    for n in scope.function.nodes:
        if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store):
            s = next(a for a in ancestors(scope, n) if isinstance(a, (ast.stmt, ast.comprehension, ast.NamedExpr)))
            source = s.iter if isinstance(s, (ast.For, ast.comprehension)) else getattr(s, "value", None)
            before = len(found)
            if source is not None:
                _collect(scope, source, found, asked)
            if len(found) == before:  # a literal: what decides is whether it is bound
                for test in tests_around(scope, n):
                    _collect(scope, test, found, asked)


def _attribute(scope: Scope, attr: str, found: set[str], asked: set[tuple[str, str]]) -> None:
    """An attribute of self: what its class's constructor assigns."""
    fid = scope.program.init_of(scope.trace.owner)
    if not fid or (fid, f"self.{attr}") in asked:
        return
    asked.add((fid, f"self.{attr}"))
    inner = scope if fid == scope.trace.fid else scope.work.scope(fid)
    for value in assigned(inner, lambda t: is_self_attribute(inner, t, attr)):
        _collect(inner, value, found, asked)


def tests_around(scope: Scope, node: ast.AST) -> list[ast.expr]:
    """The tests of the branches that a node stands in, and what the loops around it go over."""
    found: list[ast.expr] = []
    for a in ancestors(scope, node):
        if isinstance(a, (ast.If, ast.IfExp, ast.While)):
            found.append(a.test)
        elif isinstance(a, ast.For):
            found.append(a.iter)
    return found
