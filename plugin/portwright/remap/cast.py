"""Cast between the element types of safetensors without torch or MLX: numpy, and bit operations for bfloat16.

Rounding is to nearest, ties to even; what is too large for the target becomes infinite; NaN stays NaN.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DTYPES

Array = NDArray[Any]

_F16_OVERFLOW = 0x477FF000  # 65520, the least float32 magnitude that rounds to infinity in float16


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
    """Values out of range are set beside numpy's cast, which is fifteen times slower on them."""
    bits = np.ascontiguousarray(wide).view(np.uint32)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    out = magnitude >= np.uint32(_F16_OVERFLOW)
    if not out.any():
        with np.errstate(under="ignore"):
            return wide.astype(np.float16)
    with np.errstate(under="ignore"):
        result = np.where(out, np.float32(0), wide).astype(np.float16).view(np.uint16)
    sign = (bits >> np.uint32(16)).astype(np.uint16) & np.uint16(0x8000)
    nan = magnitude > np.uint32(0x7F800000)
    payload = ((bits >> np.uint32(13)) & np.uint32(0x3FF)).astype(np.uint16) | np.uint16(0x200)
    special = sign | np.uint16(0x7C00) | np.where(nan, payload, np.uint16(0))
    return np.where(out, special, result).view(np.float16)


@cache
def _table(code: str) -> Array:
    """The 256 values of an 8-bit float type."""
    if code == "F8_E8M0":
        values = np.ldexp(np.float32(1), np.arange(256) - 127).astype(np.float32)
        values[255] = np.nan
        return values
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
        table[byte] = sign * value
    return table
