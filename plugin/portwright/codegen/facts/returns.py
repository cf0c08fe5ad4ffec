"""What each function returns: how many elements, under which field names. A static look at its return statements."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from portwright.codegen.facts.tuples import elements_of
from portwright.codegen.program import Function, Program
from portwright.codegen.quote import is_none

NOTHING_KNOWN: Mapping[str, Result] = {}


@dataclass(frozen=True)
class Result:
    """A function's result that is a tuple or a model output."""

    size: int
    keys: tuple[str, ...] = ()  # of a model output, those that were ever set

    def index(self, key: int | str) -> int | None:
        if isinstance(key, int):
            return key % self.size if -self.size <= key < self.size else None
        return self.keys.index(key) if key in self.keys else None


def result_shapes(program: Program) -> dict[str, Result]:
    """The functions whose every return that ran gives the same number of elements."""
    found: dict[str, Result] = {}
    for _ in range(6):  # results that pass through several functions need several looks
        before = len(found)
        for fid, function in program.functions.items():
            if fid not in found and function.trace.name != "__init__":
                result = result_of(function, found)
                if result is not None:
                    found[fid] = result
        if len(found) == before:
            break
    return found


def returns_of(function: Function) -> list[ast.expr]:
    """Values of the return statements that ran, nested functions left out."""
    out: list[ast.expr] = []

    def walk(statements: list[ast.stmt]) -> None:
        for s in statements:
            if isinstance(s, ast.Return) and s.value is not None and ran(function, s.value):
                out.append(s.value)
            for name in ("body", "orelse", "finalbody"):
                if not isinstance(s, (ast.FunctionDef, ast.ClassDef)):
                    walk(getattr(s, name, []))

    walk(function.tree.body)
    return out


def returned_elements(
    function: Function, value: ast.expr, known: Mapping[str, Result] = NOTHING_KNOWN
) -> list[ast.expr] | None:
    """The parts of a returned tuple or model output, in order; None when a call's result is handed on."""
    elements = elements_of(function, value, known)
    if elements is not None:
        return elements
    seen = function.seen(value)
    if isinstance(value, ast.Call) and "output" in seen.kinds and any(c.sort == "class" for c in seen.callees):
        given = {k.arg: k.value for k in value.keywords if k.arg}
        given |= dict(zip(seen.fields, value.args, strict=False))
        spread = [k.value for k in value.keywords if k.arg is None and isinstance(k.value, ast.Name)]
        for f in seen.keys if len(spread) == 1 else ():
            given.setdefault(f, ast.Attribute(spread[0], f, ast.Load()))  # `Output(x=x, **outputs)`
        if set(seen.keys) <= set(given):
            return [given[f] for f in seen.fields if f in seen.keys]
    return None


def ran(function: Function, node: ast.expr) -> bool:
    return function.seen(node).n > 0 or isinstance(node, (ast.Constant, ast.JoinedStr, ast.Lambda))


def result_of(function: Function, known: dict[str, Result]) -> Result | None:
    results = [value_result(function, v, known) for v in returns_of(function)]
    if not results or any(r is None for r in results):
        return None
    first = results[0]
    return first if all(r == first for r in results) else None


def name_result(function: Function, name: str, known: dict[str, Result]) -> Result | None:
    """The result that a local name always holds; None where it is bound in any other way."""
    values = assigned(function, name)
    if not values or any(isinstance(v, ast.Name) for v in values):
        return None
    results = [value_result(function, v, known) for v in values]
    first = results[0]
    if first is None or any(r != first for r in results):
        return None
    added = set(fields_set(function, name)) - set(first.keys)
    return with_fields(function, name, first, added) if added else first


def with_fields(function: Function, name: str, result: Result, added: set[str]) -> Result | None:
    """A model output with fields that its holder sets, whatever happens; None where a branch decides that."""
    settled = {
        t.attr
        for s in function.tree.body
        if isinstance(s, ast.Assign)
        for t in s.targets
        if isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name) and t.value.id == name
    }
    fields = next((s.fields for s in map(function.seen, function.nodes_named(name)) if s.fields), ())
    if not result.keys or not added <= settled & set(fields):
        return None
    keys = tuple(f for f in fields if f in added or f in result.keys)
    return Result(len(keys), keys)


def assigned(function: Function, name: str) -> list[ast.expr]:
    """The values of a local name's assignments that ran; empty where a loop, a call or an unpacking binds it too."""
    values: list[ast.expr] = []
    stores = 0
    for node in function.nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == name:
                stores += 1
                values += [node.value] if ran(function, node.value) else []
        elif isinstance(node, ast.arg) and node.arg == name:
            return []
    names = [n for n in function.nodes if isinstance(n, ast.Name) and n.id == name]
    nones = [n for n in names if isinstance(n.ctx, ast.Load) and "none" in function.seen(n).kinds]
    if all(asks_presence(function, n) or is_field(function, n) for n in nones):
        values = [v for v in values if not is_none(v)]  # that None was never read, or only asked for
    return values if sum(isinstance(n.ctx, ast.Store) for n in names) == stores else []


def asks_presence(function: Function, node: ast.Name) -> bool:
    """`x is None` or `x is not None`."""
    test = function.parents.get(node)
    return (
        isinstance(test, ast.Compare)
        and test.left is node
        and isinstance(test.ops[0], (ast.Is, ast.IsNot))
        and is_none(test.comparators[0])
    )


def is_field(function: Function, node: ast.AST) -> bool:
    """Whether a value becomes, whole, a field of a model output that is built."""
    parent = function.parents.get(node)
    call = function.parents.get(parent) if isinstance(parent, ast.keyword) else parent
    return isinstance(call, ast.Call) and "output" in function.seen(call).kinds and node is not call.func


def fields_set(function: Function, name: str) -> list[str]:
    """Fields that are assigned on the object that a local name holds."""
    return [
        n.attr
        for n in function.nodes
        if isinstance(n, ast.Attribute)
        and isinstance(n.ctx, ast.Store)
        and isinstance(n.value, ast.Name)
        and n.value.id == name
    ]


def value_result(function: Function, value: ast.expr, known: dict[str, Result]) -> Result | None:
    """The result that one returned expression gives."""
    seen = function.seen(value)
    elements = elements_of(function, value, known)
    if elements is not None:
        return Result(len(elements))
    if isinstance(value, ast.Name):
        return name_result(function, value.id, known)
    if not isinstance(value, ast.Call):
        return None
    if "output" in seen.kinds and any(c.sort == "class" for c in seen.callees):
        return Result(len([f for f in seen.fields if f in seen.keys]), tuple(f for f in seen.fields if f in seen.keys))
    fids = {c.fid for c in seen.callees}
    if fids and "" not in fids and fids <= set(known):
        shapes = {known[f] for f in fids}
        return shapes.pop() if len(shapes) == 1 else None
    return None
