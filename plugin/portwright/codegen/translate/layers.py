"""Layers without weights that are no MLX layer: a call becomes an expression, with the layer's own settings."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_first, to_last
from portwright.codegen.quote import literal, method, plain, quote
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


@layer("GLU")
def glu(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    return as_function(scope, n, "glu", dim=setting(modules, "dim"))


@layer("PixelShuffle")
def pixel_shuffle(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    return as_function(scope, n, "pixel_shuffle", upscale_factor=setting(modules, "upscale_factor"))


@layer("PixelUnshuffle")
def pixel_unshuffle(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    return as_function(scope, n, "pixel_unshuffle", downscale_factor=setting(modules, "downscale_factor"))


@layer("Upsample")
def upsample(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    names = ("size", "scale_factor", "mode", "align_corners")
    return as_function(scope, n, "interpolate", **{k: setting(modules, k) for k in names})


@layer("AdaptiveAvgPool2d")
def adaptive_pool2d(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    return as_function(scope, n, "adaptive_avg_pool2d", output_size=setting(modules, "output_size"))


@layer("AdaptiveAvgPool1d")
def adaptive_pool1d(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    return as_function(scope, n, "adaptive_avg_pool1d", output_size=setting(modules, "output_size"))


@layer("ZeroPad2d")
def zero_pad(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    return as_function(scope, n, "pad", pad=setting(modules, "padding"))


def as_function(scope: Scope, n: ast.Call, name: str, **settings: Any) -> ast.expr:
    """The row of the function that the layer calls, with the layer's own settings as arguments."""
    from portwright.codegen.translate.apply import laid_out
    from portwright.codegen.translate.registry import ROWS, Operation

    op = Operation(scope, n, name, {"input": n.args[0]}, {"input": scope.expr(n.args[0])})
    for key, value in settings.items():
        if value is not None:
            op.args[key] = literal(tuple(value) if isinstance(value, list) else value)
            op.raw[key] = op.args[key]
    return laid_out(scope, n, ROWS[name], op)


ATTENTION_INPUTS = "query key value key_padding_mask need_weights attn_mask average_attn_weights is_causal"


@layer("MultiheadAttention")
def attention(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    """Output and weights; what only saves torch work (`need_weights`, `is_causal` beside a mask) is left out."""
    names: list[str | None] = [*ATTENTION_INPUTS.split()]
    given = {**dict(zip(names, n.args, strict=False)), **{k.arg: k.value for k in n.keywords}}
    if None in given or set(given) - set(ATTENTION_INPUTS.split()):
        raise HoleError("attention with arguments that are not known")
    if plain(scope.known(given.get("average_attn_weights", literal(True)))) is not True:
        raise HoleError("attention weights of each head")
    positional = [first(scope, given[q]) for q in ("query", "key", "value")]
    masks = ("key_padding_mask", "attn_mask")
    keywords = [ast.keyword(q, scope.expr(given[q])) for q in masks if scope.kinds(given.get(q)) - {"none"}]
    return ast.Call(scope.expr(n.func), positional, keywords)


@layer("LSTM")
@layer("GRU")
def recurrent(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    """The output and the last state, from an optional first state."""
    if n.keywords or len(n.args) > 2 or scope.rank(n.args[0]) != 3:
        raise HoleError("a recurrent layer with other arguments than (batch, length, width) and a state")
    state = [scope.expr(a) for a in n.args[1:] if scope.kinds(a) != {"none"}]
    return ast.Call(scope.expr(n.func), [first(scope, n.args[0]), *state], [])
