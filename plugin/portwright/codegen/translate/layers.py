"""Layers without weights that are no MLX layer: a call becomes an expression, with the layer's own settings."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from portwright.codegen.facts.record import Demand, ask, assumed_in
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_first, to_last
from portwright.codegen.program import Program
from portwright.codegen.quote import is_none, literal, method, plain, quote
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


def layer_title(program: Program, cls: str) -> str:
    """What a layer's call is looked up by: its base class in torch, or its own name in einops."""
    found = program.cls(cls)
    if found is not None and found.module.startswith("einops.layers"):
        return f"einops.{found.name}"
    return program.torch_base(cls)


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


# Layers that call a function with their own settings: the function's row, and row arguments by the layer's attributes.
FUNCTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "Unflatten": ("unflatten", {"dim": "dim", "unflattened_size": "sizes"}),
    "Unfold": ("F.unfold", {k: k for k in ("kernel_size", "dilation", "padding", "stride")}),
    "LogSoftmax": ("log_softmax", {"dim": "dim"}),
    "GLU": ("glu", {"dim": "dim"}),
    "PixelShuffle": ("pixel_shuffle", {"upscale_factor": "upscale_factor"}),
    "PixelUnshuffle": ("pixel_unshuffle", {"downscale_factor": "downscale_factor"}),
    "Upsample": ("interpolate", {k: k for k in ("size", "scale_factor", "mode", "align_corners")}),
    "UpsamplingNearest2d": ("interpolate", {k: k for k in ("size", "scale_factor", "mode", "align_corners")}),
    "UpsamplingBilinear2d": ("interpolate", {k: k for k in ("size", "scale_factor", "mode", "align_corners")}),
    "Hardtanh": ("hardtanh", {"min_val": "min_val", "max_val": "max_val"}),
    "Hardsigmoid": ("hardsigmoid", {}),
    "LogSigmoid": ("logsigmoid", {}),
    "Softplus": ("softplus", {"beta": "beta", "threshold": "threshold"}),
    **{f"AdaptiveAvgPool{n}d": (f"adaptive_avg_pool{n}d", {"output_size": "output_size"}) for n in (1, 2, 3)},
    **{f"AdaptiveMaxPool{n}d": (f"adaptive_max_pool{n}d", {"output_size": "output_size"}) for n in (1, 2, 3)},
}
PADDING = {"Zero": "constant", "Constant": "constant", "Reflection": "reflect", "Replication": "replicate"}
PADDING |= {"Circular": "circular"}


def register_functions() -> None:
    """One entry of the table for each layer that calls a function."""
    for title, (function, names) in FUNCTIONS.items():

        def by_row(
            scope: Scope,
            n: ast.Call,
            modules: list[ModuleTrace],
            function: str = function,
            names: dict[str, str] = names,
        ) -> ast.expr:
            given = getattr(n, "given", {})  # by the constructor, where its code stands in a Sequential
            return as_function(scope, n, function, **{q: given.get(k) or setting(modules, k) for k, q in names.items()})

        layer(title)(by_row)
    for kind, mode in PADDING.items():
        for axes in (1, 2, 3):

            def padded(scope: Scope, n: ast.Call, modules: list[ModuleTrace], mode: str = mode) -> ast.expr:
                value = setting(modules, "value") if mode == "constant" else None
                return as_function(scope, n, "pad", pad=setting(modules, "padding"), mode=mode, value=value or None)

            layer(f"{kind}Pad{axes}d")(padded)


register_functions()


NAMED_LENGTHS = frozenset({"einops.Rearrange", "einops.Reduce"})  # their keywords are the lengths of axes


@layer("einops.Rearrange")
def rearrange(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    lengths = getattr(n, "given", None) or setting(modules, "axes_lengths") or {}
    return as_function(scope, n, "einops.rearrange", pattern=setting(modules, "pattern"), **lengths)


@layer("einops.Reduce")
def reduce(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    names = ("pattern", "reduction")
    lengths = getattr(n, "given", None) or setting(modules, "axes_lengths") or {}
    return as_function(scope, n, "einops.reduce", **{k: setting(modules, k) for k in names}, **lengths)


def as_function(scope: Scope, n: ast.Call, name: str, **settings: Any) -> ast.expr:
    """The row of the function that the layer calls, with the layer's own settings as arguments."""
    from portwright.codegen.translate.apply import laid_out
    from portwright.codegen.translate.library import LIBRARY_ROWS
    from portwright.codegen.translate.registry import ROWS, Operation

    op = Operation(scope, n, name, {"input": n.args[0]}, {"input": scope.expr(n.args[0])})
    for key, value in settings.items():
        if isinstance(value, ast.expr):
            op.raw[key], op.args[key] = value, scope.expr(value)
        elif value is not None:
            op.args[key] = literal(tuple(value) if isinstance(value, list) else value)
            op.raw[key] = op.args[key]
    return ask(laid_out(scope, n, ROWS[name] if name in ROWS else LIBRARY_ROWS[name], op), *op.assumed)


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
    keywords, demands = masks_given(scope, {q: given[q] for q in masks if q in given})
    return ask(ast.Call(scope.expr(n.func), positional, keywords), *demands)


def masks_given(scope: Scope, given: dict[str, ast.expr]) -> tuple[list[ast.keyword], tuple[Demand, ...]]:
    """The masks of a call; one that is None is left out, with what makes it so."""
    made = {q: scope.expr(x) for q, x in given.items()}
    absent = [x for x in made.values() if is_none(x)]
    keywords = [ast.keyword(q, x) for q, x in made.items() if not is_none(x)]
    return keywords, tuple(d for x in absent for d in assumed_in(x))


# Calls of torch's transformer layers: their parameters, and what the carried text calls them; "" is left out.
TRANSFORMER_CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "Encoder": ("src", {"mask": "mask", "src_key_padding_mask": "key_padding_mask", "is_causal": ""}),
    "EncoderLayer": ("src", {"src_mask": "mask", "src_key_padding_mask": "key_padding_mask", "is_causal": ""}),
    **dict.fromkeys(
        ("Decoder", "DecoderLayer"),
        (
            "tgt memory",
            {
                "tgt_mask": "tgt_mask",
                "memory_mask": "memory_mask",
                "tgt_key_padding_mask": "tgt_padding_mask",
                "memory_key_padding_mask": "memory_padding_mask",
                "tgt_is_causal": "",
                "memory_is_causal": "",
            },
        ),
    ),
}


def transformer_call(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    """Values and masks by name; a hint that a mask is causal, which only saves torch work, is left out."""
    kinds = {scope.program.torch_base(m.cls).removeprefix("Transformer") for m in modules}
    values, masks = TRANSFORMER_CALLS[kinds.pop()]
    names: list[str | None] = [*values.split(), *masks]
    given = {**dict(zip(names, n.args, strict=False)), **{k.arg: k.value for k in n.keywords}}
    if set(given) - set(names) or len(n.args) > len(names):
        raise HoleError("a transformer layer with arguments that are not known")
    positional = [first(scope, given[q]) for q in values.split()]
    keywords, demands = masks_given(scope, {q: given[k] for k, q in masks.items() if q and k in given})
    return ask(ast.Call(scope.expr(n.func), positional, keywords), *demands)


for kind in TRANSFORMER_CALLS:
    layer(f"Transformer{kind}")(transformer_call)


@layer("LSTM")
@layer("GRU")
@layer("RNN")
def recurrent(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    """The output and the last state, from an optional first state."""
    if n.keywords or len(n.args) > 2 or scope.rank(n.args[0]) != 3:
        raise HoleError("a recurrent layer with other arguments than (batch, length, width) and a state")
    state = [scope.expr(a) for a in n.args[1:] if scope.kinds(a) != {"none"}]
    return ast.Call(scope.expr(n.func), [first(scope, n.args[0]), *state], [])


@layer("LSTMCell")
@layer("GRUCell")
@layer("RNNCell")
def recurrent_cell(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    """The next state, from an input and an optional state."""
    if n.keywords or len(n.args) > 2:
        raise HoleError("a recurrent cell with other arguments than an input and a state")
    state = [scope.expr(a) for a in n.args[1:] if scope.kinds(a) != {"none"}]
    return ast.Call(scope.expr(n.func), [first(scope, n.args[0]), *state], [])
