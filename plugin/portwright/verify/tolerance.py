"""Judge one measured figure: tolerance = headroom x noise, headroom in one data file. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tomli

from portwright import canonical

EXACT = frozenset({"mismatches"})  # counts of things that must not happen; pass at 0 only
RECORDED = frozenset({"seconds", "bytes"})  # figures that inform; nothing is demanded of them
SHARES = frozenset({"uncovered_share"})  # limited by tolerance.toml itself
DISTANCES = frozenset({"rel_l2", "scaled_max"})
BUDGETED = frozenset({"kl", "top1_disagreement"})
METRICS = EXACT | RECORDED | SHARES | DISTANCES | BUDGETED

# What stands for "not comparable" (other shape, NaN where the reference has none): JSON has no infinity.
UNBOUNDED = 9.9e99


@dataclass(frozen=True)
class Verdict:
    """The judgement on one figure; `why` is one clause for a message, such as `2.1e-07 > 16 x 1.2e-08`."""

    passed: bool
    measured: float
    tolerance: float
    why: str


@dataclass(frozen=True)
class Limits:
    """The numbers of tolerance.toml."""

    headroom: float
    uncovered_share: float


@cache
def limits() -> Limits:
    """Read tolerance.toml, once."""
    table = tomli.loads(Path(__file__).with_name("tolerance.toml").read_text(encoding="utf-8"))
    return Limits(float(table["headroom"]), float(table["uncovered_share"]))


def figure(value: float) -> str:
    """Write a figure as evidence holds it, for example "2.1e-07"; NaN and what is out of range become UNBOUNDED."""
    return canonical.figure(value if abs(value) <= UNBOUNDED else UNBOUNDED)  # NaN compares false


def tolerance(noise: float, headroom: float) -> float:
    """Give the greatest distance that counts as honest arithmetic."""
    return noise * headroom


def headroom_for(metric: str, origin: str) -> float:
    """Give the headroom that a new entry carries: the data file's for distances from measured noise, else 1."""
    return limits().headroom if metric in DISTANCES and origin != "budget" else 1.0


def loosened(entry: Mapping[str, Any]) -> float | None:
    """Tell by which factor an entry's headroom is above the data file's; None where it is not."""
    standard = headroom_for(str(entry.get("metric")), str(entry.get("origin")))
    headroom = _number(entry.get("headroom"))
    return headroom / standard if headroom is not None and headroom > standard else None


def verdict(entry: Mapping[str, Any]) -> Verdict:
    """Judge `{"metric", "value", "noise", "headroom", "origin"}`; malformed entries fail, with why."""
    metric, origin = entry.get("metric"), entry.get("origin")
    value, noise, headroom = (_number(entry.get(k)) for k in ("value", "noise", "headroom"))
    if metric not in METRICS:
        return Verdict(False, math.nan, math.nan, f"unknown metric {metric!r}")
    if value is None or value < 0:
        return Verdict(False, math.nan, math.nan, f"{entry.get('value')!r} is not a figure")
    if metric in RECORDED:
        return Verdict(True, value, math.inf, "recorded only")
    if noise is None or noise < 0 or headroom is None or headroom <= 0:
        return Verdict(False, value, math.nan, "the entry has no usable noise or headroom")
    if metric in EXACT:
        return Verdict(value == 0, value, 0.0, "exact" if value == 0 else f"{value:g} mismatches, none allowed")
    if metric in SHARES:
        limit = min(noise, limits().uncovered_share)
    elif metric in BUDGETED or origin == "budget":
        limit = noise  # a budget is the limit itself; there is nothing to multiply
    else:
        limit = tolerance(noise, headroom)
    passed = value <= limit
    sign = "<=" if passed else ">"
    against = f"{headroom:g} x {noise:.1e}" if metric in DISTANCES and origin != "budget" else f"{limit:.1e}"
    return Verdict(passed, value, limit, f"{metric} {value:.1e} {sign} {against}")


def _number(value: object) -> float | None:
    """Read a figure (a two-digit string or a number); None for anything else, NaN and infinity included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
