"""Cast between the element types of safetensors without torch or MLX: numpy, and bit operations for bfloat16.

Rounding is to nearest, ties to even; what is too large for the target becomes infinite; NaN stays NaN.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DTYPES

Array = NDArray[Any]

_F16_OVERFLOW = 0x477FF000  # 65520, the least float32 magnitude that rounds to infinity in float16
_F16_NORMAL = 0x38800000  # 2^-14, below which float16 is subnormal


def cast(array: Array, source: str, target: str) -> Array:
    """Give `array`, which holds the bits of dtype `source`, as the bits of dtype `target` (safetensors codes).

    Raises ValueError for a cast that would not keep the meaning of the numbers: between kinds, or to an 8-bit float.
    """
    if source == target:
        return array
    kinds = DTYPES[source].kind, DTYPES[target].kind
    if kinds == ("float", "float") and target in ("F16", "BF16", "F32", "F64"):
        return _from_wide(_to_wide(array, source, target), target)
    if kinds in (("int", "int"), ("uint", "uint")) and DTYPES[target].bits > DTYPES[source].bits:
        return array.astype(DTYPES[target].numpy)
    raise ValueError(f"no cast from {source} to {target}")


def _to_wide(array: Array, source: str, target: str) -> Array:
    """As float32, or as float64 where source or target is that wide."""
    if source == "BF16":
        wide: Array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    elif DTYPES[source].bits == 8:
        wide = _table(source)[array]
    elif source == "F64" and DTYPES[target].bits == 16:
        return _rounded_to_odd(array)
    else:
        with np.errstate(over="ignore"):
            wide = array.astype(np.float32, copy=False) if target != "F64" else array
    return wide.astype(np.float64) if target == "F64" else wide


def _rounded_to_odd(array: Array) -> Array:
    """Float64 as float32 whose last bit says whether anything was cut off, so that rounding again is rounding once."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = array.astype(np.float32)
        inexact = (near != array) & ~np.isnan(array)
        inward = np.where(np.abs(near.astype(np.float64)) > np.abs(array), np.nextafter(near, np.float32(0)), near)
    return np.where(inexact, inward.view(np.uint32) | np.uint32(1), near.view(np.uint32)).view(np.float32)


def _from_wide(wide: Array, target: str) -> Array:
    if target == "BF16":
        return _to_bf16(wide)
    if target == "F16":
        return _to_f16(wide)
    return wide


def _to_bf16(wide: Array) -> Array:
    bits = np.ascontiguousarray(wide).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    if nan.any():
        rounded = np.where(nan, (bits >> np.uint32(16)) | np.uint32(0x40), rounded)
    return rounded.astype(np.uint16)


def _to_f16(wide: Array) -> Array:
    """By bit operations: numpy's own cast is several times slower on values out of range and on subnormal ones."""
    bits = np.ascontiguousarray(wide).view(np.uint32)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    odd = (magnitude >> np.uint32(13)) & np.uint32(1)
    half = (magnitude - np.uint32(0x38000000) + np.uint32(0xFFF) + odd) >> np.uint32(13)
    small = magnitude < np.uint32(_F16_NORMAL)
    if small.any():  # adding 0.5 lets the processor round at the last bit that a subnormal has
        with np.errstate(invalid="ignore"):
            shifted = (magnitude.view(np.float32) + np.float32(0.5)).view(np.uint32) - np.uint32(0x3F000000)
        half = np.where(small, shifted, half)
    out = magnitude >= np.uint32(_F16_OVERFLOW)
    if out.any():
        payload = np.uint32(0x7E00) | ((magnitude >> np.uint32(13)) & np.uint32(0x1FF))
        half = np.where(out, np.where(magnitude > np.uint32(0x7F800000), payload, np.uint32(0x7C00)), half)
    half |= (bits >> np.uint32(16)) & np.uint32(0x8000)
    return half.astype(np.uint16).view(np.float16)


@cache
def _table(code: str) -> Array:
    """The 256 values of an 8-bit float type."""
    if code == "F8_E8M0":
        values = np.ldexp(1.0, np.arange(256) - 127)
        values[255] = np.nan
        return values.astype(np.float32)
    exponent_bits = 4 if "E4M3" in code else 5
    mantissa_bits = 7 - exponent_bits
    unsigned_zero = code.endswith("FNUZ")
    bias = (1 << (exponent_bits - 1)) - (0 if unsigned_zero else 1)
    table = np.empty(256, np.float32)
    for byte in range(256):
        sign = -1.0 if byte & 0x80 else 1.0
        exponent, mantissa = (byte & 0x7F) >> mantissa_bits, byte & ((1 << mantissa_bits) - 1)
        top = exponent == (1 << exponent_bits) - 1
        if unsigned_zero and byte == 0x80:
            value = np.nan
        elif code == "F8_E5M2" and top:
            value = np.nan if mantissa else np.inf
        elif code == "F8_E4M3" and top and mantissa == 7:
            value = np.nan
        elif exponent == 0:
            value = mantissa * 2.0 ** (1 - bias - mantissa_bits)
        else:
            value = (1 + mantissa * 2.0**-mantissa_bits) * 2.0 ** (exponent - bias)
        table[byte] = math.copysign(value, sign)
    return table
