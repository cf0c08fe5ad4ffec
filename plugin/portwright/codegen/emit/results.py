"""Elements of results: which part of what a function returns is used, by index or field name.

A use is written as an `element` mark on a node; `tidy.narrow` turns it into the value itself or a subscript once it
is known which elements the function still returns.
"""

from __future__ import annotations

import ast

from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.facts.returns import asks_presence
from portwright.codegen.holes import HoleError

PARTS = (ast.Constant, ast.UnaryOp, ast.Slice)


def result_callees(scope: Scope, call: ast.expr) -> tuple[str, ...]:
    """The functions behind a call if all of them are rewritten and return the same number of elements, else ()."""
    callees = scope.seen(call).callees
    fids = tuple(sorted({c.fid for c in callees}))
    if not fids or "" in fids or any(c.sort == "class" for c in callees):
        return ()
    if any(c.sort == "module" and scope.work.is_replaced(c.cls) for c in callees):
        return ()
    shapes = {scope.results.get(f) for f in fids}
    return fids if len(shapes) == 1 and None not in shapes else ()


def result_variables(scope: Scope) -> dict[str, tuple[str, ...]]:
    """Local names that only ever hold such results, and are only ever taken apart."""
    found: dict[str, tuple[str, ...]] = {}
    stores: dict[str, int] = {}
    parents = scope.function.parents
    for node in scope.function.nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if isinstance(node.value, ast.Call) and scope.seen(node.value).n:
                fids = result_callees(scope, node.value)
                if fids and found.get(name, fids) == fids:
                    found[name] = fids
                    stores[name] = stores.get(name, 0) + 1
    for node in scope.function.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in found and scope.seen(node).n:
            if node.id in scope.entry_literals and node.lineno <= scope.entry_literals[node.id][1]:
                continue  # a parameter that starts from a literal, before it is assigned
            if asks_presence(scope.function, node) and scope.kinds(node) == {"output"}:
                continue  # it holds the result there: nothing asks whether it does
            parent = parents[node]
            index = isinstance(parent, ast.Subscript) and isinstance(parent.slice, PARTS)
            if not (index or isinstance(parent, ast.Attribute)):
                found.pop(node.id)
    fixed = scope.entry_literals  # a parameter that starts from a literal holds nothing else
    return {n: f for n, f in found.items() if stores[n] == binds(scope, n) and (n not in scope.params or n in fixed)}


def binds(scope: Scope, name: str) -> int:
    """In how many places a name is bound; assignments that no run reached are left out."""
    nodes = scope.function.nodes
    idle = [s.targets[0] for s in nodes if isinstance(s, ast.Assign) and not ran(scope, s.value)]
    return sum(
        isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) and n not in idle for n in nodes
    )


def ran(scope: Scope, value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) or any(scope.seen(n).n for n in ast.walk(value))


def element_mark(scope: Scope, node: ast.expr, fids: tuple[str, ...], key: int | str) -> ast.expr:
    """`node` stands for a whole result; mark which element of it is meant."""
    index = scope.results[fids[0]].index(key)
    if index is None:
        raise HoleError(f"the result has no element {key!r}, unless a library's hooks add it")
    out = ast.Subscript(node, ast.Constant(index), ast.Load())
    out.element = (fids, index)  # type: ignore[attr-defined]
    return ask(out, *[Demand("used", f, index) for f in fids])


def element(scope: Scope, name: ast.Name, fids: tuple[str, ...], key: int | str) -> ast.expr:
    """`outputs.x` or `outputs[i]` of a name that holds a result."""
    return element_mark(scope, ast.Name(name.id, ast.Load()), fids, key)


def element_of_call(scope: Scope, call: ast.Call, key: int | str) -> ast.expr:
    """`f(...).x` or `f(...)[i]`."""
    fids = result_callees(scope, call)
    translated = scope.work.call(scope, call)
    if not fids:
        if isinstance(key, int):
            return ast.Subscript(translated, ast.Constant(key), ast.Load())
        raise HoleError(f"a field {key} of a result that is not known")
    return element_mark(scope, translated, fids, key)
