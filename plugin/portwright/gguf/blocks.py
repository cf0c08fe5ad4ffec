"""Decode a GGUF file's blocks: to float32 by the gguf library, or to MLX's packed form without rounding again.

MLX's affine groups hold w = scale * q + bias with q from 0. A type repacks where each block is one such group: then
scale and bias are the block's own float16 numbers, or a power of two times them, which float32 holds exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ExitCode, PortError, Problem
from .types import BY_NAME

Array = NDArray[Any]
_Blocks = Callable[[Array], Array]


def dequantize(raw: Array, packed: str) -> Array:
    """Rows of blocks, uint8 (..., bytes), as float32 (..., elements); raises PortError where the type is not known."""
    library = _library()
    try:
        kind = library.GGMLQuantizationType[packed]
        with np.errstate(all="ignore"):
            values: Array = library.dequantize(raw, kind)
    except (NotImplementedError, KeyError):
        hint = "convert the file to a type that the installed gguf library decodes"
        raise PortError(Problem(packed, "blocks of this type cannot be decoded", hint), ExitCode.SOURCE) from None
    return values


def _library() -> Any:
    try:
        import gguf
    except ModuleNotFoundError:
        problem = Problem("gguf", "the package gguf is not installed", "pip install 'portwright[build]'")
        raise PortError(problem, ExitCode.SOURCE) from None
    return gguf


@dataclass(frozen=True)
class Repack:
    """How blocks become an affine group: functions of blocks, uint8 (n, bytes), to (n, elements), (n, 1), (n, 1)."""

    bits: int
    codes: _Blocks
    scales: _Blocks
    biases: _Blocks


def _half(start: int) -> _Blocks:
    """A float16 number of each block, as float32."""

    def number(blocks: Array) -> Array:
        half: Array = np.ascontiguousarray(blocks[:, start : start + 2]).view(np.float16)
        return half.astype(np.float32)

    return number


def _nibbles(start: int) -> _Blocks:
    """The low halves of 16 bytes are elements 0 to 15, the high halves 16 to 31."""

    def codes(blocks: Array) -> Array:
        pairs = blocks[:, start : start + 16]
        return np.concatenate([pairs & np.uint8(15), pairs >> np.uint8(4)], axis=1)

    return codes


def _with_fifth_bit(start: int) -> _Blocks:
    """Nibbles behind a 32-bit mask that holds each element's highest bit."""

    def codes(blocks: Array) -> Array:
        high = np.unpackbits(blocks[:, start : start + 4], axis=1, bitorder="little")
        both: Array = _nibbles(start + 4)(blocks) | (high << np.uint8(4))
        return both

    return codes


def _shifted(by: int) -> _Blocks:
    """The bias of a type that subtracts `by` from each code: -by * d, exact since `by` is a power of two."""
    return lambda blocks: _half(0)(blocks) * np.float32(-by)


# Not Q4_0 and Q5_0: their scales may be negative, and 0 * -d is a negative zero, which no sum with a bias gives.
REPACKS = {
    "Q4_1": Repack(4, _nibbles(4), _half(0), _half(2)),
    "Q5_1": Repack(5, _with_fifth_bit(4), _half(0), _half(2)),
    "Q8_0": Repack(8, lambda blocks: blocks[:, 2:] ^ np.uint8(0x80), _half(0), _shifted(128)),
}
GROUP = 32  # elements of a block of these types, and of an MLX group
PLANES = ("codes", "scales", "biases")


def plane(raw: Array, packed: str, name: str) -> Array:
    """One of PLANES of rows of blocks, uint8 (..., bytes): codes as MLX packs them into uint32, the others float32."""
    repack = REPACKS[packed]
    blocks = np.ascontiguousarray(raw).reshape(-1, BY_NAME[packed].size)
    made: Array = getattr(repack, name)(blocks)
    rows = made.reshape(*raw.shape[:-1], -1)
    return _packed(rows, repack.bits) if name == "codes" else rows


def _packed(codes: Array, bits: int) -> Array:
    """Codes, uint8 (..., columns), as uint32 (..., columns * bits / 32): a stream of bits, the lowest first."""
    if bits == 8:
        stream = codes
    elif bits == 4:
        stream = codes[..., 0::2] | (codes[..., 1::2] << np.uint8(4))
    else:
        each = np.unpackbits(codes[..., None], axis=-1, count=bits, bitorder="little")
        stream = np.packbits(each.reshape(*codes.shape[:-1], -1), axis=-1, bitorder="little")
    return np.ascontiguousarray(stream).view("<u4")
