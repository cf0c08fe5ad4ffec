"""Rows of signal processing: windows, Fourier transforms of short pieces, transposed convolutions as functions."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import transpose
from portwright.codegen.quote import call, literal, plain, quote
from portwright.codegen.translate.convolution import inward, kernel, number, outward
from portwright.codegen.translate.create import dtype_of
from portwright.codegen.translate.registry import Layout, Operation, row, template

BESSEL = '''def bessel_i0(x):
    """The modified Bessel function of the first kind, by its power series (Abramowitz and Stegun, 9.6.12)."""
    term = total = mx.ones_like(x)
    for k in range(1, 40):
        term = term * mx.square(x / (2 * k))
        total = total + term
    return total
'''
KAISER = '''def kaiser_window(length, periodic=True, beta=12.0):
    """Kaiser's window; a periodic one leaves out the last of one more."""
    if length == 1:
        return mx.ones(1)
    place = 2 * mx.arange(length) / (length if periodic else length - 1) - 1
    return bessel_i0(beta * mx.sqrt(mx.maximum(1 - mx.square(place), 0))) / bessel_i0(mx.array(float(beta)))
'''
STFT = '''def short_time_fourier(
    x, n_fft, hop, window=None, center=True, pad_mode="reflect", normalized=False, onesided=True
):
    """Fourier transforms of windows `hop` apart: (..., frequencies, windows)."""
    if center:
        widths = [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)]
        x = mx.pad(x, widths) if pad_mode == "constant" else pad_by_index(x, widths, pad_mode)
    starts = mx.arange(0, x.shape[-1] - n_fft + 1, hop)
    pieces = x[..., starts[:, None] + mx.arange(n_fft)]
    if window is not None:
        before = (n_fft - window.size) // 2
        pieces = pieces * mx.pad(window, (before, n_fft - window.size - before))
    found = mx.fft.rfft(pieces) if onesided else mx.fft.fft(pieces)
    return (found / n_fft**0.5 if normalized else found).swapaxes(-1, -2)
'''
TRANSPOSED = '''def grouped_transpose(x, weight, groups, stride, padding, dilation, output_padding):
    """A transposed convolution in groups of (batch, ..., channels), tap by tap; weight (in, out / groups, ...)."""
    sizes, kernel = x.shape[1:-1], weight.shape[2:]
    n = len(sizes)
    stride, padding, dilation, extra = (
        (v,) * n if isinstance(v, int) else tuple(v) for v in (stride, padding, dilation, output_padding)
    )
    full = [(m - 1) * s + d * (k - 1) + 1 + e for m, s, d, k, e in zip(sizes, stride, dilation, kernel, extra)]
    x = x.reshape(*x.shape[:-1], groups, -1)
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    out = mx.zeros((x.shape[0], *full, groups, weight.shape[2]), dtype=x.dtype)
    for tap in range(math.prod(kernel)):
        place = []
        for k in reversed(kernel):
            place.insert(0, tap % k)
            tap //= k
        spots = [slice(p * d, p * d + (m - 1) * s + 1, s) for p, d, m, s in zip(place, dilation, sizes, stride)]
        at = (slice(None), *spots)
        out[at] = out[at] + mx.einsum("...gi,gio->...go", x, weight[(slice(None), slice(None), slice(None), *place)])
    inside = [slice(p, f - p) for p, f in zip(padding, full)]
    return out[(slice(None), *inside)].flatten(-2)
'''
GROUPED_3D = '''def grouped_conv3d(x, weight, groups, stride=1, padding=0, dilation=1):
    """A convolution in groups of (batch, frames, rows, columns, channels), frame of the kernel by frame.

    weight (out, kernel, kernel, kernel, in / groups)
    """
    stride, padding, dilation = ((v,) * 3 if isinstance(v, int) else tuple(v) for v in (stride, padding, dilation))
    x = mx.pad(x, [(0, 0), (padding[0], padding[0]), (0, 0), (0, 0), (0, 0)])
    frames = (x.shape[1] - dilation[0] * (weight.shape[1] - 1) - 1) // stride[0] + 1
    total = 0
    for k in range(weight.shape[1]):
        start = k * dilation[0]
        taken = x[:, start : start + (frames - 1) * stride[0] + 1 : stride[0]]
        made = mx.conv2d(taken.flatten(0, 1), weight[:, k], stride[1:], padding[1:], dilation[1:], groups)
        total = total + made.reshape(x.shape[0], frames, *made.shape[1:])
    return total
'''
SNIPPETS = {
    "grouped_conv3d": GROUPED_3D,
    "bessel_i0": BESSEL,
    "kaiser_window": KAISER,
    "short_time_fourier": STFT,
    "grouped_transpose": TRANSPOSED,
}
NEEDS = {"kaiser_window": ("bessel_i0",), "short_time_fourier": ("pad_by_index",)}
IMPORTS = {"grouped_transpose": ("import math",)}

template("sinc", "input", "mx.where(input == 0, 1.0, mx.sin(mx.pi * input) / mx.where(input == 0, 1.0, mx.pi * input))")


@row("kaiser_window", "window_length periodic=True beta=12.0 dtype=None")
def kaiser(op: Operation) -> ast.expr:
    shown = {k: op.get(k) for k in ("periodic", "beta")}
    return typed(op, ask(call("kaiser_window", op["window_length"], **shown), Demand("snippet", "kaiser_window")))


COSINES = {"hann_window": (0.5, 0.5), "hamming_window": (0.54, 0.46)}


@row("hann_window hamming_window", "window_length periodic=True dtype=None")
def cosine_window(op: Operation) -> ast.expr:
    length = op["window_length"]
    span = length if op.value("periodic", True) else quote("n - 1", n=length)
    a, b = (literal(v) for v in COSINES[op.name])
    return typed(op, quote("a - b * mx.cos(2 * mx.pi * mx.arange(n) / span)", a=a, b=b, n=length, span=span))


def typed(op: Operation, made: ast.expr) -> ast.expr:
    """A window in the type that is asked for; it is made in float32."""
    dtype = dtype_of(op)
    return made if dtype is None or ast.unparse(dtype) == "mx.float32" else quote("x.astype(d)", x=made, d=dtype)


SHORT_TIME = (
    "input n_fft hop_length=None win_length=None window=None center=True pad_mode='reflect' normalized=False "
    "onesided=None return_complex=None align_to_window=None"
)


@row("stft", SHORT_TIME)
def short_time_fourier(op: Operation) -> ast.expr:
    """Complex results only, as torch wants them; a window that is shorter than a piece stands in its middle."""
    if op.value("return_complex") is not True or op.value("align_to_window"):
        raise HoleError("stft of real pairs, or aligned to its window")
    if op.get("window") is None and op.get("win_length") is not None:
        raise HoleError("stft by a length without a window")
    given = [op["input"], op["n_fft"], op.get("hop_length") or quote("n // 4", n=op["n_fft"])]
    changed = {"center": True, "pad_mode": "reflect", "normalized": False, "onesided": True}
    options = {k: literal(v) for k, d in changed.items() if (v := op.value(k, d)) not in (d, None)}
    made = call("short_time_fourier", *given, window=op.get("window"), **options)
    return ask(made, Demand("snippet", "short_time_fourier"))


TRANSPOSE = "input weight bias=None stride=1 padding=0 output_padding=0 groups=1 dilation=1"


@row("conv_transpose1d conv_transpose2d conv_transpose3d", TRANSPOSE, Layout.AWARE)
def transposed_convolution(op: Operation) -> ast.expr:
    """A transposed convolution with a weight (in, out / groups, ...) that the reference holds or makes itself."""
    options = {k: number(op, k) for k in ("stride", "padding", "dilation", "output_padding")}
    usual = {"padding": 0, "output_padding": 0}
    grouped = op.get("groups") is not None and set(op.constants("groups")) != {1}
    if grouped and op.name.endswith("3d"):  # MLX groups two axes at most
        whole = {k: v if v is not None else literal(usual.get(k, 1)) for k, v in options.items()}
        made: ast.expr = call("grouped_transpose", inward(op), kernel(op), op["groups"], *whole.values())
        made = ask(made, Demand("snippet", "grouped_transpose"))
    else:
        shown = {k: v for k, v in options.items() if v is not None and plain(v) != usual.get(k, 1)}
        if grouped:
            weight: ast.expr = call("transposed_weight", kernel(op), op["groups"])
            weight, shown["groups"] = ask(weight, Demand("snippet", "transposed_weight")), op["groups"]
        else:
            op.value("groups", 1)
            weight = transpose(kernel(op), (1, *range(2, op.rank("weight")), 0))
        made = call(f"mx.{op.name}", inward(op), weight, **shown)
    if op.get("bias") is not None:
        made = ast.BinOp(made, ast.Add(), op["bias"])
    return outward(op, made)
