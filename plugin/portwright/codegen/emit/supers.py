"""Calls of the form `super().method(...)`."""

from __future__ import annotations

import ast

from portwright.codegen.emit.modules import called
from portwright.codegen.emit.scope import Scope
from portwright.codegen.emit.units import unit_call
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import quote
from portwright.codegen.translate.constructors import CONSTRUCTORS


def is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def is_super_call(n: ast.AST) -> bool:
    return isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and is_super(n.func.value)


def super_call(scope: Scope, n: ast.Call) -> ast.expr:
    """A rewritten base's method, or a torch layer's forward."""
    assert isinstance(n.func, ast.Attribute)
    callees = scope.seen(n).callees
    if callees and all(c.fid for c in callees):
        title = "__call__" if n.func.attr == "forward" else n.func.attr
        return unit_call(scope, n, callees, function=quote(f"super().{title}"))
    base = CONSTRUCTORS.get(scope.program.torch_base(scope.trace.owner))
    if n.func.attr == "forward" and base is not None:
        return called(scope, n, base.channels_last, quote("super().__call__"))
    raise HoleError(f"super().{n.func.attr} of a class that is not rewritten")


def is_base_forward(scope: Scope, n: ast.Call) -> bool:
    """`nn.LayerNorm.forward(self, x)` in a class made from that layer."""
    own = n.args and isinstance(n.args[0], ast.Name) and n.args[0].id == scope.self_name
    return (
        bool(own) and isinstance(n.func, ast.Attribute) and scope.program.torch_base(scope.trace.owner) in CONSTRUCTORS
    )


def base_forward(scope: Scope, n: ast.Call) -> ast.expr:
    """The forward of torch's layer on the rest of the arguments."""
    rest = ast.copy_location(ast.Call(n.func, n.args[1:], n.keywords), n)
    rest.number = getattr(n, "number", -1)  # type: ignore[attr-defined]
    base = CONSTRUCTORS[scope.program.torch_base(scope.trace.owner)]
    return called(scope, rest, base.channels_last, quote("super().__call__"))
