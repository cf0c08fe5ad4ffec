"""Model outputs that a local name holds: one local name for each field.

`out = Output(a=x, b=y)` or `out = self.encoder(...)`, of which fields are assigned or which is returned whole, become
`out_a` and `out_b`; what nothing reads is swept away, and plain copies are renamed away.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from portwright.codegen.emit.results import result_callees
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.returns import Result, assigned, fields_set, name_result
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import is_none


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
        reads = [n for n in scope.function.nodes if is_read(n, name) and scope.seen(n).n]
        whole = [n for n in reads if isinstance(parents[n], ast.Return) or is_inside_output(scope, n, parents)]
        built = any(not result_callees(scope, v) for v in values)
        if (built or whole or fields_set(function, name)) and all(
            n in whole or is_element(parents[n], result) for n in reads
        ):
            found[name] = result
    return found


def is_read(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def is_inside_output(scope: Scope, node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether the whole result becomes a field of another model output: a tuple in a tuple."""
    parent = parents[node]
    call = parents[parent] if isinstance(parent, ast.keyword) else parent
    return isinstance(call, ast.Call) and "output" in scope.kinds(call) and node is not call.func


def whole(scope: Scope, name: str) -> ast.expr:
    """All elements, as a tuple."""
    return ast.Tuple([part(scope, name, i) for i in range(scope.parts[name].size)], ast.Load())


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
        raise HoleError(f"the result has no element {key!r}")
    return f"{name}_{result.keys[index] if result.keys else index}"


def part(scope: Scope, name: str, key: int | str) -> ast.expr:
    """The value of one element."""
    return ast.Name(part_name(scope, name, key), ast.Load())


def assign_parts(scope: Scope, name: str, value: ast.expr) -> list[ast.stmt]:
    """`name = value`, element by element; a None that nothing reads is not assigned."""
    if is_none(value):
        return []
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
    return [ast.Assign([ast.Name(n, ast.Store())], scope.expr(given[key])) for n, key in pairs]


def built_fields(scope: Scope, value: ast.Call) -> dict[str, ast.expr]:
    """What a model output is built from, by field."""
    fields = scope.seen(value).fields
    given = {k.arg: k.value for k in value.keywords if k.arg}
    return given | dict(zip(fields, value.args, strict=False))
