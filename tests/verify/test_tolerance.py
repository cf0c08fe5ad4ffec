"""The judgement on figures."""

import math

import pytest
from portwright.verify.battery import check_ids
from portwright.verify.tolerance import UNBOUNDED, figure, headroom_for, limits, loosened, verdict

CLEAN = {"metric": "rel_l2", "value": "2.1e-07", "noise": "1.1e-07", "headroom": 16, "origin": "fp64"}


def test_distance_within_headroom_passes_and_beyond_fails() -> None:
    """A distance passes up to headroom times noise and not above it."""
    assert verdict(CLEAN).passed
    worse = verdict({**CLEAN, "value": "1.8e-06"})
    assert not worse.passed
    assert worse.tolerance == pytest.approx(1.76e-06)
    assert worse.why == "rel_l2 1.8e-06 > 16 x 1.1e-07"


def test_counts_pass_only_at_zero() -> None:
    """A count of mismatches cannot be bought with noise or headroom."""
    entry = {"metric": "mismatches", "value": "1", "noise": "100", "headroom": 1000, "origin": "fp64"}
    assert not verdict(entry).passed
    assert verdict({**entry, "value": "0"}).passed


@pytest.mark.parametrize("value", ["nan", "inf", "-1.0e-07", "", None, True, "x", [], {}])
def test_what_is_no_figure_fails(value: object) -> None:
    """NaN, infinity, negative and malformed figures fail instead of raising."""
    assert not verdict({**CLEAN, "value": value}).passed


def test_a_recorded_metric_never_excuses_a_distance() -> None:
    """Which figures only inform is decided by the metric, so an entry cannot excuse itself."""
    assert not verdict({**CLEAN, "value": "1.0e+00", "origin": "recorded"}).passed
    assert verdict({"metric": "seconds", "value": "3.0e-01", "noise": "0", "headroom": 1, "origin": "recorded"}).passed


def test_share_and_budget_ignore_headroom() -> None:
    """Limits that are not measured noise are not multiplied, and a share never passes above the data file's."""
    share = {"metric": "uncovered_share", "value": "2.0e-01", "noise": "9.0e-01", "headroom": 16, "origin": "design"}
    assert not verdict(share).passed
    budget = {"metric": "kl", "value": "6.0e-02", "noise": "5.0e-02", "headroom": 16, "origin": "budget"}
    assert not verdict(budget).passed


def test_raised_headroom_is_named() -> None:
    """Raising the headroom is seen as a factor; the standard one or less is silent."""
    assert loosened({**CLEAN, "headroom": limits().headroom}) is None
    assert loosened({**CLEAN, "headroom": limits().headroom * 4}) == pytest.approx(4)
    assert headroom_for("mismatches", "exact") == 1


def test_figures_are_two_digits_and_always_finite() -> None:
    """A figure is a two-digit string, and what is not finite becomes the unbounded figure, which fails."""
    assert figure(2.14e-7) == "2.1e-07"
    assert figure(0.0) == "0.0e+00"
    assert float(figure(math.nan)) == UNBOUNDED == float(figure(math.inf))
    assert not verdict({**CLEAN, "value": figure(math.nan)}).passed


def test_battery_follows_the_facts() -> None:
    """Exempt modules have no isolation check, and traits add theirs."""
    ids = check_ids(
        {"modules": ["a", "b"], "exempt": {"b": "fused"}, "traits": ["long"]}, quantized=True, budget={"kl": 0.1}
    )
    assert {"isolate/a", "long/positions", "quantization/kl", "quantization/layers"} <= set(ids)
    assert "isolate/b" not in ids
    assert "padding/invariance" not in ids
