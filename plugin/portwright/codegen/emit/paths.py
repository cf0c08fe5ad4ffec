"""From a module to what lies inside it, by path: for a library's accessors, which hide the way."""

from __future__ import annotations

import ast

from portwright.codegen.emit.names import attribute_name
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask

CONTAINERS = ("ModuleList", "Sequential")


def paths_of(scope: Scope, holder: ast.expr) -> tuple[str, ...]:
    """The instances that an expression was."""
    if isinstance(holder, ast.Name) and holder.id == scope.self_name:
        return scope.trace.params[holder.id].paths
    return scope.seen(holder).paths


def inside(base: str, path: str) -> str | None:
    """The way from a module to one inside it; None where it is not inside."""
    start = base if base.endswith(":") else f"{base}."
    return path.removeprefix(start) if path.startswith(start) else None


def along(scope: Scope, holder: ast.expr, base: str, steps: str) -> ast.expr | None:
    """`holder.a.b[0].c` for the path `a.b.0.c`; None where the modules on the way are not known."""
    out = scope.expr(holder)
    for step in steps.split("."):
        module = scope.program.modules.get(base)
        if module is None:
            return None
        if step.isdigit() and scope.program.torch_base(module.cls) in CONTAINERS:
            out = ast.Subscript(out, ast.Constant(int(step)), ast.Load())
        else:
            title = attribute_name(scope.program, [module.cls], step)
            out = ask(ast.Attribute(out, title, ast.Load()), Demand("live", module.cls, step))
        base = f"{base}{'' if base.endswith(':') else '.'}{step}"
    return out


def submodule(scope: Scope, n: ast.Call) -> ast.expr | None:
    """`model.get_input_embeddings()`: the submodule that the accessor always gave."""
    if not isinstance(n.func, ast.Attribute):
        return None
    held, found = paths_of(scope, n.func.value), scope.seen(n).paths
    ways = {way for base in held for path in found if (way := inside(base, path)) is not None}
    if len(held) != len(found) or len(ways) != 1:
        return None
    return along(scope, n.func.value, held[0], ways.pop())


def first_parameter(scope: Scope, node: ast.expr) -> ast.expr | None:
    """`next(module.parameters())`, also through `iter` or in front of a chain: the module's first parameter.

    A module whose dtype is asked says that of the same.
    """
    if scope.kinds(node) == {"module"}:
        node = ast.Call(ast.Attribute(node, "parameters", ast.Load()), [], [])
    while isinstance(node, ast.Call) and ast.unparse(node.func) in ("next", "iter", "chain", "itertools.chain"):
        node = node.args[0]
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "parameters"):
        return None
    holder = node.func.value
    held = paths_of(scope, holder)
    ways = {first_slot(scope, base) for base in held}
    way = ways.pop() if len(ways) == 1 else None
    return along(scope, holder, held[0], way) if way else None


def first_slot(scope: Scope, base: str) -> str | None:
    """The path of the first parameter in a module."""
    for path, module in scope.program.modules.items():
        prefix = "" if path == base else inside(base, path)
        slot = next((t.name for t in module.tensors if t.role == "parameter"), None)
        if prefix is not None and slot is not None:
            return f"{prefix}.{slot}" if prefix else slot
    return None
