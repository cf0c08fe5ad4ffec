"""Model outputs that a local name holds: one local name for each field.

`out = Output(a=x, b=y)` or `out = self.encoder(...)`, of which fields are assigned or which is returned whole, become
`out_a` and `out_b`; what nothing reads is swept away, and plain copies are renamed away.
"""

from __future__ import annotations

import ast

from portwright.codegen.emit.results import result_callees
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.returns import Result, asks_presence, assigned, fields_set, is_field, name_result
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import is_none, quote


def held_apart(scope: Scope) -> dict[str, Result]:
    """The local names whose results are taken apart: only fields, elements and whole returns are read."""
    function = scope.function
    parents = scope.function.parents
    found: dict[str, Result] = {}
    for name in sorted(scope.locals - set(scope.params)):
        values = assigned(function, name)
        if not values or not all(isinstance(v, ast.Call) for v in values):
            continue
        result = name_result(function, name, dict(scope.results))
        if result is None or not result.size or name in scope.nested_reads:
            continue
        reads = [n for n in function.nodes_named(name) if scope.seen(n).n]
        whole = [n for n in reads if isinstance(parents[n], ast.Return) or is_field(function, n)]
        asked = [n for n in reads if asks_presence(function, n)]
        asked += [n for n in reads if is_type_test(scope, parents[n])]
        asked += [n for n in reads if was_none(scope, parents[n]) and not is_element(parents[n], result)]
        if may_lack(scope, reads) and sure_key(scope, name) is None:
            continue
        built = any(not result_callees(scope, v) for v in values)
        if (built or whole or asked or fields_set(function, name)) and all(
            n in whole or n in asked or is_element(parents[n], result) for n in reads
        ):
            found[name] = result
    return found


def is_type_test(scope: Scope, parent: ast.AST) -> bool:
    """`isinstance(out, tuple)`, which was always the same."""
    is_call = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "isinstance"
    return is_call and scope.seen(parent).const


def was_none(scope: Scope, parent: ast.AST) -> bool:
    """Whether a read takes a field that never held anything, such as a cache that nothing asked for."""
    return isinstance(parent, ast.Attribute) and scope.seen(parent).always_none


def may_lack(scope: Scope, reads: list[ast.Name]) -> bool:
    """Whether a name was None where it was read: no result at all."""
    return any("none" in scope.kinds(n) for n in reads)


def sure_key(scope: Scope, name: str) -> int | str | None:
    """An element that was never None where it was read, so that it says whether there is a result."""
    for n in scope.function.nodes_named(name):
        parent = scope.function.parents[n]
        if isinstance(parent, ast.Attribute) and scope.seen(parent).n and "none" not in scope.kinds(parent):
            return parent.attr
    return None


def whole(scope: Scope, name: ast.Name) -> ast.expr:
    """All elements, as a tuple; None where there is no result."""
    made = ast.Tuple([part(scope, name.id, i) for i in range(scope.parts[name.id].size)], ast.Load())
    if not may_lack(scope, scope.function.nodes_named(name.id)) or "none" not in scope.kinds(name):
        return made
    return quote("None if x is None else made", x=presence(scope, name.id), made=made)


def presence(scope: Scope, name: str) -> ast.expr:
    """An element that is None exactly where there is no result."""
    key = sure_key(scope, name)
    assert key is not None
    return part(scope, name, key)


def is_element(parent: ast.AST, result: Result) -> bool:
    """Whether a read of the name takes one element that the result has, or assigns one."""
    if isinstance(parent, ast.Attribute):
        return result.index(parent.attr) is not None
    if isinstance(parent, ast.Subscript) and isinstance(parent.slice, (ast.Constant, ast.UnaryOp)):
        try:
            key = ast.literal_eval(parent.slice)
        except ValueError:
            return False
        return isinstance(key, (int, str)) and result.index(key) is not None
    return False


def part_name(scope: Scope, name: str, key: int | str) -> str:
    """The local name of one element."""
    result = scope.parts[name]
    index = result.index(key)
    if index is None:
        raise HoleError(f"the result has no element {key!r}, unless a library's hooks add it")
    return f"{name}_{result.keys[index] if result.keys else index}"


def part(scope: Scope, name: str, key: int | str) -> ast.expr:
    """The value of one element."""
    return ast.Name(part_name(scope, name, key), ast.Load())


def assign_parts(scope: Scope, name: str, value: ast.expr) -> list[ast.stmt]:
    """`name = value`, element by element; a None that nothing reads is not assigned."""
    if is_none(value):
        return lacking(scope, name) if may_lack(scope, scope.function.nodes_named(name)) else []
    assert isinstance(value, ast.Call)
    result = scope.parts[name]
    names = [part_name(scope, name, i) for i in range(result.size)]
    fids = result_callees(scope, value)
    if fids:
        own = scope.results[fids[0]]  # the name may get further fields later
        names = [part_name(scope, name, key) for key in own.keys or range(own.size)]
        target = ast.Tuple([ast.Name(n, ast.Store()) for n in names], ast.Store())
        made = ast.Assign([target], scope.work.call(scope, value))
        made.unpacks = fids  # type: ignore[attr-defined]
        return [made]
    given = built_fields(scope, value)
    pairs = zip(names, result.keys, strict=True)
    return [  # a field that is not given is set later
        ast.Assign([ast.Name(n, ast.Store())], scope.expr(given[key])) for n, key in pairs if key in given
    ]


def lacking(scope: Scope, name: str) -> list[ast.stmt]:
    """`name = None`, element by element."""
    names = [part_name(scope, name, i) for i in range(scope.parts[name].size)]
    return [ast.Assign([ast.Name(n, ast.Store())], ast.Constant(None)) for n in names]


def built_fields(scope: Scope, value: ast.Call) -> dict[str, ast.expr]:
    """What a model output is built from, by field."""
    fields = scope.seen(value).fields
    given = {k.arg: k.value for k in value.keywords if k.arg}
    return given | dict(zip(fields, value.args, strict=False))
