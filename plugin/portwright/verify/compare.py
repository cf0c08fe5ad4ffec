"""Distances between a port's tensor and its reference, and the message that says where they differ. numpy only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from portwright.verify.tolerance import UNBOUNDED

Array = NDArray[np.generic]

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_SAMPLE = 1 << 16  # elements that the usual size of a tensor is taken from
_SENTINEL = 1e30  # masks hold the dtype's lowest number: equal ones are left out, since they would drown the rest


@dataclass(frozen=True)
class Distance:
    """Two views of one difference: relative L2, and the greatest difference scaled element by element.

    `scaled_max` is max |a - b| / (|b| + the median of non-zero |b|): a channel that is large hides no error in
    the others, and near zero the usual size of the tensor counts.
    """

    rel_l2: float
    scaled_max: float


ZERO = Distance(0.0, 0.0)
INCOMPARABLE = Distance(UNBOUNDED, UNBOUNDED)


@dataclass(frozen=True)
class Figure:
    """One distance with the noise of honest arithmetic that it is judged against."""

    metric: str
    value: float
    noise: float

    @property
    def ratio(self) -> float:
        return self.value / self.noise if self.noise else (UNBOUNDED if self.value else 0.0)


def distance(actual: Array, expected: Array) -> Distance:
    """Measure how far `actual` is from `expected`; another shape, kind or pattern of NaN is INCOMPARABLE."""
    if actual.shape != expected.shape:
        return INCOMPARABLE
    if expected.dtype.kind in "biu" or actual.dtype.kind in "biu":
        same = expected.dtype.kind in "biu" and actual.dtype.kind in "biu" and bool(np.array_equal(actual, expected))
        return ZERO if same else INCOMPARABLE
    a, b = _wide(actual), _wide(expected)
    special = ~np.isfinite(b) | (np.abs(b) >= _SENTINEL)
    if special.any():
        if not _same_special(a[special], b[special]):
            return INCOMPARABLE
        a, b = a[~special], b[~special]
    if not np.isfinite(a).all():
        return INCOMPARABLE
    difference = np.abs(a - b)
    greatest = float(difference.max(initial=0.0))
    if greatest == 0:
        return ZERO
    norm = _length(b)
    relative = _length(difference) / norm if norm else UNBOUNDED
    return Distance(min(relative, UNBOUNDED), min(float((difference / _scale(b)).max()), UNBOUNDED))


def greatest_difference(actual: Array, expected: Array) -> float:
    """The greatest absolute difference; UNBOUNDED where there is none to take."""
    if actual.shape != expected.shape:
        return UNBOUNDED
    with np.errstate(invalid="ignore"):
        difference = np.where(_wide(actual) == _wide(expected), 0.0, np.abs(_wide(actual) - _wide(expected)))
    greatest = float(difference.max(initial=0.0))
    return greatest if greatest <= UNBOUNDED else UNBOUNDED


def worst(distances: Iterable[Distance]) -> Distance:
    """Join distances: the greatest of each metric."""
    return reduce(lambda x, y: Distance(max(x.rel_l2, y.rel_l2), max(x.scaled_max, y.scaled_max)), distances, ZERO)


def floored(noise: Distance, dtype: str) -> Distance:
    """Raise a noise to the rounding of its dtype: below that nothing can be demanded."""
    eps = EPS[dtype]
    return Distance(max(noise.rel_l2, eps), max(noise.scaled_max, eps))


@dataclass(frozen=True)
class Comparison:
    """Both views of one or more compared tensors, each the worst against its own noise, and what is to be said."""

    rel_l2: Figure
    scaled_max: Figure
    said: str = ""

    @property
    def ratio(self) -> float:
        return max(self.rel_l2.ratio, self.scaled_max.ratio)


def against(measured: Distance, noise: Distance) -> Comparison:
    """Put a distance beside the noise that it is judged by."""
    return Comparison(
        Figure("rel_l2", measured.rel_l2, noise.rel_l2), Figure("scaled_max", measured.scaled_max, noise.scaled_max)
    )


def furthest(comparisons: Sequence[Comparison]) -> Comparison:
    """Join comparisons: of each view the one furthest beyond its noise, and everything that was said."""
    return Comparison(
        max((c.rel_l2 for c in comparisons), key=lambda f: f.ratio),
        max((c.scaled_max for c in comparisons), key=lambda f: f.ratio),
        "\n".join(c.said for c in comparisons if c.said),
    )


def describe(actual: Array, expected: Array, allowed: float) -> str:
    """Say how two tensors differ: how many elements, by how much at most, where; one paragraph, nothing left out.

    `allowed` is the greatest scaled difference that counts as equal.
    """
    if actual.shape != expected.shape:
        return f"shape {actual.shape} where the reference has {expected.shape}"
    if actual.dtype.kind != expected.dtype.kind:
        return f"{actual.dtype} where the reference has {expected.dtype}"
    a, b = _wide(actual), _wide(expected)
    lines = []
    unlike = ~np.isfinite(a) & ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if unlike.any():
        lines.append(
            f"{int(unlike.sum())} elements are not finite, the first at {_where(unlike, int(unlike.argmax()))}"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.where(a == b, 0.0, np.abs(a - b))
        scaled = difference / _scale(b[np.isfinite(b)], b)
    difference, scaled = (np.nan_to_num(x, nan=np.inf, posinf=np.inf) for x in (difference, scaled))
    count = int((scaled > allowed).sum())
    at, rel_at = int(difference.argmax()), int(scaled.argmax())
    lines += [
        f"mismatched elements: {count} / {a.size} ({100 * count / max(a.size, 1):.1f}%)",
        f"greatest absolute difference: {difference.flat[at]:.3g} at {_where(a, at)}"
        f" ({a.flat[at]:.6g} against {b.flat[at]:.6g})",
        f"greatest scaled difference: {scaled.flat[rel_at]:.3g} at {_where(a, rel_at)} (up to {allowed:.3g} allowed)",
    ]
    return "; ".join(lines)


def _wide(x: Array) -> NDArray[np.float64]:
    if x.dtype.kind == "c":
        return np.stack([x.real, x.imag], axis=-1).astype(np.float64)
    return x.astype(np.float64)


def _length(x: NDArray[np.float64]) -> float:
    # No BLAS: its threads wait for each other on a busy machine, and this is called for every tensor.
    return math.sqrt(float(np.square(x).sum()))


def _scale(b: NDArray[np.float64], at: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    size = np.abs(b)
    sample = size.reshape(-1)[:: max(1, size.size // _SAMPLE)]
    sample = sample[sample > 0]
    typical = float(np.median(sample)) if sample.size else 1.0
    return (size if at is None else np.abs(at)) + typical


def _same_special(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Tell whether NaNs meet NaNs, infinities of one sign meet, and mask sentinels meet sentinels."""
    both_low = (np.abs(a) >= _SENTINEL) & (np.abs(b) >= _SENTINEL) & (np.sign(a) == np.sign(b))
    return bool(((np.isnan(a) & np.isnan(b)) | both_low).all())


def _where(x: Array, flat: int) -> str:
    return str(tuple(int(i) for i in np.unravel_index(flat, x.shape)))
