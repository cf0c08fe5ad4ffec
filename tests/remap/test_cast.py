"""Casts: rounding to nearest, ties to even, specials kept; without torch and without MLX."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from portwright.remap.cast import cast

EDGES = [
    0.0,
    -0.0,
    1.0,
    65504.0,
    65519.996,
    65520.0,
    65536.0,
    1e30,
    np.inf,
    -np.inf,
    2.0**-14,
    2.0**-24,
    2.0**-25,
    1e-40,
]
EDGES += [1.0009766, 1.00048828125, 1.00146484375, 1.00390625, 1.01171875, 3.3895314e38, 3.4028235e38]


def _samples(count: int = 200_000) -> np.ndarray:
    """Every kind of float32: all exponents, both signs, NaN and infinity, and the edges of the narrow types."""
    bits = np.random.default_rng(0).integers(0, 1 << 32, count, dtype=np.uint32)
    return np.concatenate([bits.view(np.float32), np.array(EDGES, np.float32)])


def _bf16_values() -> np.ndarray:
    return (np.arange(65536, dtype=np.uint32) << 16).view(np.float32)


def test_every_narrow_value_survives_a_trip_through_float32() -> None:
    """All 65536 bit patterns of float16 and bfloat16 that are numbers come back as they were."""
    patterns = np.arange(65536, dtype=np.uint16)
    half = patterns.view(np.float16)
    back = cast(cast(half, "F16", "F32"), "F32", "F16")
    keep = ~np.isnan(half)
    assert np.array_equal(back.view(np.uint16)[keep], patterns[keep])
    assert np.isnan(back[~keep]).all()
    wide = cast(patterns, "BF16", "F32")
    keep = ~np.isnan(wide)
    assert np.array_equal(cast(wide, "F32", "BF16")[keep], patterns[keep])
    assert np.isnan(cast(cast(wide, "F32", "BF16"), "BF16", "F32")[~keep]).all()


def test_float16_is_rounded_as_numpy_rounds_it() -> None:
    """Bit for bit the same as numpy's slower cast, subnormal, overflowing and infinite values included."""
    values = _samples()
    with np.errstate(all="ignore"):
        expected = values.astype(np.float16)
    found = cast(values, "F32", "F16")
    number = ~np.isnan(values)
    assert np.array_equal(found.view(np.uint16)[number], expected.view(np.uint16)[number])
    assert np.isnan(found[~number]).all()


def test_bfloat16_is_the_nearest_value_ties_to_even() -> None:
    """No other bfloat16 is nearer, and of two equally near ones the even one is taken."""
    values = _samples()
    values = values[np.isfinite(values) & (np.abs(values) < 3.3e38)].astype(np.float64)
    found = cast(values.astype(np.float32), "F32", "BF16").astype(np.int64)
    with np.errstate(invalid="ignore"):
        table = _bf16_values().astype(np.float64)
    magnitude = found & 0x7FFF
    error = np.abs(table[found] - values)
    for step in (-1, 1):
        other = np.clip(magnitude + step, 0, 0x7F80) | (found & 0x8000)
        rival = np.abs(table[other] - values)
        assert (error <= rival).all()
        tie = (error == rival) & (other != found)
        assert (found[tie] % 2 == 0).all()


@given(st.floats(width=64, allow_nan=False))
def test_float64_is_rounded_once(value: float) -> None:
    """A float64 just beside a tie of float16 does not fall to the wrong side by way of float32."""
    wide = np.array([value, 1.00048828125 + 1e-12, 1.00048828125 - 1e-12, 65520 - 1e-9, 2.0**-25 + 1e-20])
    with np.errstate(all="ignore"):
        assert np.array_equal(cast(wide, "F64", "F16"), wide.astype(np.float16))


@pytest.mark.parametrize(
    ("code", "byte", "value"),
    [
        ("F8_E4M3", 0x7E, 448.0),
        ("F8_E4M3", 0x01, 2.0**-9),
        ("F8_E4M3", 0x7F, np.nan),
        ("F8_E4M3", 0x80, -0.0),
        ("F8_E5M2", 0x7B, 57344.0),
        ("F8_E5M2", 0xFC, -np.inf),
        ("F8_E5M2", 0x7D, np.nan),
        ("F8_E4M3FNUZ", 0x7F, 240.0),
        ("F8_E4M3FNUZ", 0x80, np.nan),
        ("F8_E5M2FNUZ", 0x7F, 57344.0),
        ("F8_E8M0", 127, 1.0),
        ("F8_E8M0", 0, 2.0**-127),
        ("F8_E8M0", 255, np.nan),
    ],
)
def test_eight_bit_floats_are_widened_by_their_standard(code: str, byte: int, value: float) -> None:
    """Largest, smallest and special values of each 8-bit type mean what its definition says."""
    found = cast(np.array([byte], np.uint8), code, "F32")
    assert np.array_equal(found, np.array([value], np.float32), equal_nan=True)
    assert np.isnan(value) or np.signbit(found[0]) == np.signbit(value)


@pytest.mark.parametrize(("source", "target"), [("F32", "I32"), ("I64", "I32"), ("BOOL", "U8"), ("F32", "F8_E4M3")])
def test_a_cast_that_would_change_the_meaning_is_refused(source: str, target: str) -> None:
    """Between kinds, to fewer integer bits and to 8-bit floats there is no cast."""
    with pytest.raises(ValueError, match="no cast"):
        cast(np.zeros(1, np.float32), source, target)


def test_out_of_range_is_not_slow() -> None:
    """Values beyond float16 take no more than a few times as long as those inside."""
    from time import perf_counter

    def best(values: np.ndarray) -> float:
        times = []
        for _ in range(5):
            begin = perf_counter()
            cast(values, "F32", "F16")
            times.append(perf_counter() - begin)
        return min(times)

    normal = np.random.default_rng(0).standard_normal(1 << 18).astype(np.float32)
    assert best(normal * 1e6) < 5 * best(normal)
