"""Sequences of modules, held as Python can: counted ones as lists, named ones as dicts, own classes by `layers`.

torch's Sequential and ModuleList are lists in a port, unless a Sequential is made of a mapping, whose names it keeps; a
class derived from one is a module of its own, which keeps its layers in `layers`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from portwright.codegen.emit.scope import Scope
from portwright.codegen.holes import HoleError
from portwright.codegen.program import Program
from portwright.codegen.quote import quote
from portwright.codegen.trace import ModuleTrace

SEQUENCES = frozenset({"Sequential", "ModuleList"})


def is_own(program: Program, cls: str) -> bool:
    """Whether a class is derived from torch's Sequential or ModuleList."""
    return program.torch_base(cls) in SEQUENCES and not program.is_torch(cls)


def is_named(program: Program, module: ModuleTrace) -> bool:
    """Whether a module is torch's Sequential with names for its layers."""
    counted = all(child.isdigit() for child in module.children)  # a layer that stands in two places is listed once
    return program.torch_base(module.cls) == "Sequential" and program.is_torch(module.cls) and not counted


def form(scope: Scope, node: ast.expr) -> str:
    """How the port holds a sequence: "own", "named", or "" for a list and for what is no sequence."""
    program = scope.program
    paths = scope.seen(node).paths
    held = [program.modules[p] for p in paths if p in program.modules]
    if isinstance(node, ast.Name) and node.id == scope.self_name and not held:
        return "own" if is_own(program, scope.trace.owner) else ""
    forms = {"own" if is_own(program, m.cls) else "named" if is_named(program, m) else "" for m in held}
    if len(forms) > 1:
        raise HoleError("sequences of modules that are held in several ways")
    return forms.pop() if forms else ""


def elements(scope: Scope, node: ast.expr, indexed: bool = False) -> ast.expr:
    """An expression that something iterates over, or takes items of: of a sequence of modules, its layers."""
    held = form(scope, node) if "module" in scope.kinds(node) else ""
    made = scope.expr(node)
    if held == "own":
        return ast.Attribute(made, "layers", ast.Load())
    if held == "named":
        return quote("list(x.values())" if indexed else "x.values()", x=made)
    return made


def place(program: Program, module: ModuleTrace, child: str) -> str:
    """Where the port has a submodule of a class derived from a sequence."""
    return f"layers.{child if child.isdigit() else module.children.index(child)}"


def layer_by_name(scope: Scope, node: ast.Attribute, classes: Iterable[str]) -> ast.expr | None:
    """A layer of a sequence that keeps its layers under names of their own, or of a class derived from one."""
    program = scope.program
    held = [program.modules[p] for p in scope.seen(node.value).paths if p in program.modules]
    held = held or [m for cls in classes for m in program.instances.get(cls, ())]
    if not held or any(node.attr not in m.children for m in held):
        return None
    if all(is_named(program, m) for m in held):
        return ast.Subscript(scope.expr(node.value), ast.Constant(node.attr), ast.Load())
    places = {m.children.index(node.attr) for m in held if is_own(program, m.cls)}
    if not places:
        return None
    if len(places) > 1 or not all(is_own(program, m.cls) for m in held):
        raise HoleError(f"the layer {node.attr}, which is in several places")
    layers = ast.Attribute(scope.expr(node.value), "layers", ast.Load())
    return ast.Subscript(layers, ast.Constant(places.pop()), ast.Load())
