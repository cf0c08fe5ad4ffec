"""Channels that become pixels, and pixels that become channels."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, quote
from portwright.codegen.translate.convolution import inward, outward
from portwright.codegen.translate.registry import Layout, Operation, row

PIXEL_SHUFFLE = '''def shuffle_pixels(x, factor):
    """Spread channels over `factor` times as many rows and columns; channels are last."""
    b, h, w, _ = x.shape
    x = x.reshape(b, h, w, -1, factor, factor).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(b, h * factor, w * factor, -1)
'''

PIXEL_UNSHUFFLE = '''def unshuffle_pixels(x, factor):
    """Gather each square of `factor` rows and columns in the channels, which are last."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return x.transpose(0, 1, 3, 5, 2, 4).reshape(b, h // factor, w // factor, -1)
'''

SNIPPETS = {"shuffle_pixels": PIXEL_SHUFFLE, "unshuffle_pixels": PIXEL_UNSHUFFLE}


@row("pixel_shuffle", "input upscale_factor", Layout.AWARE)
def pixel_shuffle(op: Operation) -> ast.expr:
    if is_held_last(op):
        return carried(op, "shuffle_pixels", "upscale_factor")
    return quote(
        "x.reshape(*x.shape[:-3], -1, r, r, *x.shape[-2:]).transpose(0, 1, 4, 2, 5, 3)"
        ".reshape(x.shape[0], -1, x.shape[-2] * r, x.shape[-1] * r)",
        x=op["input"], r=op["upscale_factor"],
    )  # fmt: skip


@row("pixel_unshuffle", "input downscale_factor", Layout.AWARE)
def pixel_unshuffle(op: Operation) -> ast.expr:
    if is_held_last(op):
        return carried(op, "unshuffle_pixels", "downscale_factor")
    return quote(
        "x.reshape(*x.shape[:2], x.shape[2] // r, r, x.shape[3] // r, r).transpose(0, 1, 3, 5, 2, 4)"
        ".reshape(x.shape[0], -1, x.shape[2] // r, x.shape[3] // r)",
        x=op["input"], r=op["downscale_factor"],
    )  # fmt: skip


def is_held_last(op: Operation) -> bool:
    """Whether the picture, or what is made of it, is channels-last. Raises HoleError for other ranks than 4."""
    if op.rank() != 4:
        raise HoleError(f"{op.name} of a tensor that is not of rank 4")
    return op.is_last() or op.scope.is_last(op.node)


def carried(op: Operation, name: str, factor: str) -> ast.expr:
    """The function that the port carries, between the layouts of its operand and result."""
    return outward(op, ask(call(name, inward(op), op[factor]), Demand("snippet", name)))
