"""What a function returns, and the boundary that users see: there, values have the reference's own layout."""

from __future__ import annotations

import ast

from portwright.codegen.emit.parts import part
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.facts.returns import Result
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_first
from portwright.codegen.quote import quote


def returned_parts(scope: Scope, value: ast.Name, result: Result) -> ast.Return:
    """`return out` of a name that has one local name for each element."""
    if value.id not in scope.parts:
        raise HoleError(f"the result {value.id} is returned whole, and used otherwise")
    used = [i for i in range(result.size) if i in scope.work.used(scope.trace.fid)]
    return made_of(scope, value, {i: part(scope, value.id, i) for i in used}, result)


def pass_through(scope: Scope, value: ast.Call, used: frozenset[int], result: Result) -> list[ast.stmt]:
    """`return f(x)`: what is used of this function's result is used of f's."""
    translated = scope.work.call(scope, value)
    fids = tuple(c.fid for c in scope.seen(value).callees)
    if not scope.is_public or not scope.seen(value).element_layouts:
        if scope.is_public and any(gives_last(scope.work.scope(f)) for f in fids if not scope.is_outer(f)):
            raise HoleError("a channels-last value inside a result that is handed on whole")
        demands = [Demand("used", f, i) for f in fids for i in used]
        if result.size == 1 and not scope.is_root_entry:  # both give a tuple of one, or neither
            demands.append(Demand("group", (scope.trace.fid, *fids)))
        elif result.size == 1 and any(scope.work.is_single(f) for f in fids):
            translated = ast.Subscript(translated, ast.Constant(0), ast.Load())
        return [ask(ast.Return(translated), *demands)]
    names = [result.keys[i] if result.keys else f"output_{i}" for i in range(result.size)]
    if set(names) & scope.locals:
        raise HoleError("a channels-last value inside a result that is handed on whole")
    taken = ast.Assign([ast.Tuple([ast.Name(n, ast.Store()) for n in names], ast.Store())], translated)
    taken.unpacks = fids  # type: ignore[attr-defined]
    parts: dict[int, ast.expr] = {i: ast.Name(names[i], ast.Load()) for i in sorted(used)}
    return [taken, made_of(scope, value, parts, result)]


def made_of(scope: Scope, value: ast.expr, parts: dict[int, ast.expr], result: Result) -> ast.Return:
    """The return of a result's used elements, where users see it in the reference's layout."""
    if scope.is_public:
        layouts = scope.seen(value).element_layouts or ("",) * result.size
        if len(layouts) != result.size:
            raise HoleError("a channels-last value inside a result that is returned whole")
        parts = {i: first(x, layouts[i]) for i, x in parts.items()}
    out = list(parts.values())
    if len(out) == 1 and (scope.is_root_entry or not scope.work.is_single(scope.trace.fid)):
        return ast.Return(out[0])
    return ast.Return(ast.Tuple(out, ast.Load()) if out else None)


def first(node: ast.expr, layout: str) -> ast.expr:
    """An element of a result in the reference's layout."""
    if layout == "cl":
        return quote("mx.moveaxis(x, -1, 1)", x=node)
    if layout == "*cl":
        return quote("[mx.moveaxis(x, -1, 1) for x in xs]", xs=node)
    if layout not in ("", "-"):
        raise HoleError("a channels-last value inside a result that is returned whole")
    return node


def outward(scope: Scope, value: ast.expr) -> ast.expr:
    """A returned expression; the root gives the reference's own layout."""
    translated = scope.expr(value)
    if scope.is_public and "tensor" in scope.kinds(value) and scope.is_last(value):
        return to_first(translated, scope.rank(value) or 0)
    tags = set(scope.seen(value).element_tags)
    if scope.is_public and "dict" in scope.kinds(value) and tags & {"cl", "mixed"}:
        raise HoleError("a channels-last value inside a dict that is returned")
    if scope.is_public and "cl" in tags:
        if tags != {"cl"}:
            raise HoleError("a returned list of values in both layouts")
        return quote("[mx.moveaxis(x, -1, 1) for x in xs]", xs=translated)
    return translated


def gives_last(scope: Scope) -> bool:
    """Whether a function returns a channels-last value, alone or among others."""
    returns = [s.value for s in ast.walk(scope.tree) if isinstance(s, ast.Return) and s.value is not None]
    return any("cl" in scope.seen(x).tags for value in returns for x in ast.walk(value) if isinstance(x, ast.expr))
