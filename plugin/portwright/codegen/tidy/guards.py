"""Refusals that can never be reached, because another one says the same, or more."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TypeGuard

from portwright.codegen.quote import stores

PURE = (
    ast.Name, ast.Constant, ast.Attribute, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Subscript, ast.expr_context,
    ast.cmpop, ast.boolop, ast.unaryop,
)  # fmt: skip
NOTHING: Mapping[str, set[str]] = {}
STRING_METHODS = frozenset({"startswith", "endswith", "lower"})


def without_repeated(body: list[ast.stmt], known: Mapping[str, set[str]] = NOTHING) -> list[ast.stmt]:
    """The statements, in place, without guards that an equal one stands before, or a wider one right behind.

    `known`: tests that are false here, and the names that each reads.
    """
    out: list[ast.stmt] = []
    passed = dict(known)  # tests of guards that stand before are false, too
    for s in map(as_guard, body):
        if isinstance(s, ast.If):
            names = {n.id for n in ast.walk(s.test) if isinstance(n, ast.Name)}
            false = {ast.dump(s.test): names} if is_pure(s.test) else {}
            s.body, s.orelse = without_repeated(s.body, passed), without_repeated(s.orelse, {**passed, **false})
        elif isinstance(s, (ast.For, ast.While, ast.FunctionDef)):
            s.body = without_repeated(s.body)
        if is_guard(s) and is_pure(s.test):
            said = ast.dump(s.test)
            if said in passed:
                continue
            passed[said] = {n.id for n in ast.walk(s.test) if isinstance(n, ast.Name)}
            while out and is_guard(last := out[-1]) and includes(s, last):
                out.pop()
        else:
            bound = {x for n in ast.walk(s) if isinstance(n, ast.expr) for x in stores(n)}
            passed = {said: names for said, names in passed.items() if not names & bound}
        out.append(s)
        if ends(s):
            break
    return out


def as_guard(s: ast.stmt) -> ast.stmt:
    """`x = not_ported(why) if test else x` as the guard that it is."""
    if not (isinstance(s, ast.Assign) and isinstance(s.value, ast.IfExp) and len(s.targets) == 1):
        return s
    refusal, kept = s.value.body, s.value.orelse
    if not (isinstance(refusal, ast.Call) and ast.unparse(refusal.func) == "not_ported"):
        return s
    if not (isinstance(kept, ast.Name) and isinstance(s.targets[0], ast.Name) and s.targets[0].id == kept.id):
        return s
    text = ast.Constant(f"not ported: {ast.literal_eval(refusal.args[0])}")
    error = ast.Raise(ast.Call(ast.Name("NotImplementedError", ast.Load()), [text], []), None)
    made = ast.If(s.value.test, [error], [])
    made.origin = getattr(s, "origin", 1)  # type: ignore[attr-defined]
    return made


def is_guard(s: ast.stmt) -> TypeGuard[ast.If]:
    """`if test: raise NotImplementedError("not ported: ...")`, which no hole left."""
    if not (isinstance(s, ast.If) and len(s.body) == 1 and not s.orelse and isinstance(s.body[0], ast.Raise)):
        return False
    error = s.body[0].exc
    if hasattr(s.body[0], "hole") or not (isinstance(error, ast.Call) and error.args):
        return False
    text = error.args[0]
    return isinstance(text, ast.Constant) and str(text.value).startswith("not ported: ")


def is_pure(test: ast.expr) -> bool:
    return all(isinstance(n, PURE) for n in ast.walk(test))


def includes(wide: ast.If, narrow: ast.If) -> bool:
    """Whether `x != 'a'` refuses all that another guard refuses, which is false of 'a'."""
    test = wide.test
    if not (isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and isinstance(test.ops[0], ast.NotEq)):
        return False
    only = test.comparators[0]
    if len(test.ops) != 1 or not (isinstance(only, ast.Constant) and isinstance(only.value, str)):
        return False
    return holds(narrow.test, test.left.id, only.value) is False


def holds(test: ast.expr, name: str, value: str) -> bool | None:
    """What a test of one name says of a text; None where it asks anything else."""
    for n in ast.walk(test):
        if isinstance(n, ast.Name) and n.id != name:
            return None
        method = n.func if isinstance(n, ast.Call) else None
        if method is not None and not (isinstance(method, ast.Attribute) and method.attr in STRING_METHODS):
            return None
        if isinstance(n, ast.Attribute) and n.attr not in STRING_METHODS:
            return None
        if not isinstance(n, (*PURE, ast.Call)):
            return None
    code = compile(ast.fix_missing_locations(ast.Expression(test)), "<test>", "eval")
    return bool(eval(code, {"__builtins__": {}}, {name: value}))


def ends(s: ast.stmt) -> bool:
    """Whether nothing behind a statement is ever reached."""
    if isinstance(s, ast.If):
        return all(part and ends(part[-1]) for part in (s.body, s.orelse))
    return isinstance(s, (ast.Return, ast.Raise)) and not hasattr(s, "hole")
