"""Layers without weights that are no MLX layer: a call becomes an expression, with the layer's own settings."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_first, to_last
from portwright.codegen.quote import literal, method, quote
from portwright.codegen.trace import ModuleTrace

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

LayerCall = Callable[["Scope", ast.Call, list[ModuleTrace]], ast.expr]
LAYER_CALLS: dict[str, LayerCall] = {}


def layer(name: str) -> Callable[[LayerCall], LayerCall]:
    def register(f: LayerCall) -> LayerCall:
        LAYER_CALLS[name] = f
        return f

    return register


def setting(modules: list[ModuleTrace], name: str) -> Any:
    """A layer's plain attribute, the same in all instances."""
    values = {repr(m.numbers.get(name)): m.numbers.get(name) for m in modules}
    if len(values) != 1:
        raise HoleError(f"layers of one call differ in {name}")
    return next(iter(values.values()))


def first(scope: Scope, node: ast.expr) -> ast.expr:
    x = scope.expr(node)
    return to_first(x, scope.rank(node) or 0) if scope.is_last(node) else x


def result(scope: Scope, n: ast.Call, made: ast.expr) -> ast.expr:
    return to_last(made, scope.rank(n) or 0) if scope.is_last(n) else made


@layer("Flatten")
def flatten(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    start, end = setting(modules, "start_dim"), setting(modules, "end_dim")
    args = [literal(a) for a in ([start, end] if end != -1 else [start])]
    return result(scope, n, method(first(scope, n.args[0]), "flatten", *args))


@layer("Softmax")
def softmax(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    dim = setting(modules, "dim")
    return result(scope, n, quote("mx.softmax(x, axis=a)", x=first(scope, n.args[0]), a=literal(dim)))
