"""Convolutions whose padding MLX's layers do not know: by an input's own values, by name, unlike on both sides."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from portwright.codegen.emit.choices import key
from portwright.codegen.emit.scope import Scope, expanded_keywords
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import is_literal, literal, plain, quote
from portwright.codegen.translate.constructors import CONSTRUCTORS, CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS


def pads_itself(scope: Scope, given: Mapping[str, ast.expr]) -> bool:
    """Whether a convolution pads in a way that MLX's does not: with its input's values, or unlike on both sides."""
    if plain(scope.known(given.get("padding_mode", literal("zeros")))) != "zeros":
        return True
    try:
        named_padding(scope, given) if by_name(scope, given) else None
    except HoleError:
        return True
    return False


def by_name(scope: Scope, given: Mapping[str, ast.expr]) -> bool:
    return bool(scope.kinds(given.get("padding")) & {"str"})


def padded_layer(scope: Scope, n: ast.Call, base: str, made: ast.Call) -> ast.expr:
    """A convolution, behind what pads its input where it does not do so itself."""
    given = dict(zip(CONSTRUCTORS[base].parameters.split(), n.args, strict=False))
    given |= {k.arg: k.value for k in expanded_keywords(scope, n) if k.arg is not None}
    if base not in CONVOLUTIONS or not pads_itself(scope, given) or "padding" not in given:
        return made
    mode = given.get("padding_mode", literal("zeros"))
    if base in TRANSPOSED_CONVOLUTIONS:
        raise HoleError(f"{base} with padding_mode={plain(scope.known(mode))!r}")
    if by_name(scope, given) and plain(scope.known(given["padding"])) == "valid":
        return made
    padding = scope.known(given["padding"]) if by_name(scope, given) else given["padding"]
    assumed = key(scope, given["padding"], given["padding"]) if by_name(scope, given) else []
    out = quote("padded(c, p, m)", c=made, p=scope.expr(padding or literal(0)), m=scope.expr(mode))
    return ask(out, Demand("snippet", "padded"), *[Demand("assume", a) for a in assumed])


def named_padding(scope: Scope, given: Mapping[str, ast.expr]) -> ast.expr | None:
    """`padding="valid"` is none; "same" is what keeps the length, where that is alike on both sides."""
    title = plain(scope.known(given["padding"]))
    if title == "valid":
        return None
    kernel, dilation = plain(scope.known(given["kernel_size"])), plain(scope.known(given.get("dilation", literal(1))))
    if title != "same" or not isinstance(kernel, int) or not isinstance(dilation, int) or dilation * (kernel - 1) % 2:
        raise HoleError(f"padding by the name {title}")
    shown = scope.expr(given["kernel_size"])
    if is_literal(shown):
        return literal(dilation * (kernel - 1) // 2)
    if dilation != 1:
        raise HoleError("dilated padding by name")
    return quote("k // 2", k=shown)
