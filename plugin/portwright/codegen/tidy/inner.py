"""Parameters of inner functions that nothing reads, once the branch that read them is gone."""

from __future__ import annotations

import ast

from portwright.codegen.quote import loads


def without_unread_parameters(body: list[ast.stmt]) -> list[ast.stmt]:
    """Drop them, in place, from inner functions that are only ever called, with the arguments that they were given."""
    nodes = [n for s in body for n in ast.walk(s)]
    for inner in [n for n in nodes if isinstance(n, ast.FunctionDef)]:
        calls = [
            n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == inner.name
        ]
        named = [n for n in nodes if isinstance(n, ast.Name) and n.id == inner.name]
        if calls and len(named) == len(calls) and all(is_plain(c, inner) for c in calls):
            for place in reversed(unread(inner)):
                drop(inner, calls, place)
    return body


def unread(inner: ast.FunctionDef) -> list[int]:
    """The places of the parameters that the body does not read."""
    read = {x for s in inner.body for x in loads(s)}
    return [i for i, a in enumerate(inner.args.args) if a.arg not in read]


def is_plain(call: ast.Call, inner: ast.FunctionDef) -> bool:
    """Whether a call gives every parameter by its place, as values that do nothing by themselves."""
    a = inner.args
    if a.defaults or a.vararg or a.kwarg or a.kwonlyargs or a.posonlyargs or call.keywords:
        return False
    values = [n for arg in call.args for n in ast.walk(arg)]
    return len(call.args) == len(a.args) and not any(isinstance(n, (ast.Starred, ast.Call)) for n in values)


def drop(inner: ast.FunctionDef, calls: list[ast.Call], place: int) -> None:
    del inner.args.args[place]
    for call in calls:
        del call.args[place]
