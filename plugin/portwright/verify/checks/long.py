"""Compare port and reference far along: texts and positions up to what the config allows."""

from __future__ import annotations

from collections.abc import Iterator

from portwright.verify.checks.outputs import over
from portwright.verify.measure.bench import Bench, Measured, NotRun


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """One figure over the long probes, if the reference has positions at all."""
    probes = [p for p in bench.golden.probes if "long" in p.tags]
    if probes:
        yield over(bench, "long/positions", probes)
