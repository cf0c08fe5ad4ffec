"""Statements of constructors that only draw weights: a port loads them, so what they start from is of no use."""

from __future__ import annotations

import ast

from portwright.codegen.emit.scope import Scope
from portwright.codegen.program import Function, Program

# What changes a module or a container, rather than a number: such a call is no mere drawing of weights.
CHANGES = frozenset({"append", "extend", "insert", "update", "pop", "setdefault", "add", "remove", "clear", "reverse"})
CHANGES |= {"setattr", "delattr", "sort", "load_state_dict", "register_parametrization", "register_forward_hook"}
CHANGES |= {"register_buffer", "register_parameter", "register_module", "add_module"}


def only_draws(scope: Scope, n: ast.Call) -> bool:
    """Whether a call in a constructor, whose result nobody takes, changes nothing but parameters in place."""
    if scope.trace.fid not in scope.program.constructing:
        return False
    callees = scope.seen(n).callees
    own = [c.fid for c in callees if c.fid]
    if not own:
        return scope.seen(n).fills == {"weight"}
    return len(own) == len(callees) and all(draws(scope.program, fid, set()) for fid in own)


def draws(program: Program, fid: str, asked: set[str]) -> bool:
    """Whether a function stores nothing and changes nothing but parameters, nor does anything that it calls."""
    if fid in asked:
        return True
    asked.add(fid)
    function = program.functions[fid]
    for n in function.nodes:
        stored = isinstance(n, (ast.Attribute, ast.Subscript)) and not isinstance(n.ctx, ast.Load)
        if stored or isinstance(n, (ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom)):
            return False
        if isinstance(n, ast.Call) and not quiet(program, function, n, asked):
            return False
    return True


def quiet(program: Program, function: Function, n: ast.Call, asked: set[str]) -> bool:
    """The same of one call."""
    seen = function.seen(n)
    if "value" in seen.fills:
        return False
    return all(draws(program, c.fid, asked) if c.fid else c.name not in CHANGES for c in seen.callees)
