"""Compare the whole port with the whole reference, on probes that codegen saw and on probes that it did not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portwright.verify.golden import GoldenProbe
from portwright.verify.measure.bench import Bench, Measured, NotRun, compare_all


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """The worst figure over the observed probes, and over the unobserved ones; long ones have a check of their own."""
    for where, wanted in (("observed", True), ("unobserved", False)):
        probes = [p for p in bench.golden.probes if p.observed is wanted and "long" not in p.tags]
        yield over(bench, f"outputs/{where}", probes)


def over(bench: Bench, check: str, probes: Sequence[GoldenProbe]) -> Measured | NotRun:
    """One figure for several probes: the one furthest beyond its noise."""
    if not probes:
        return NotRun(check, "the golden holds no such probe")
    if any(bench.code_dtype not in probe.noise for probe in probes):
        return NotRun(check, f"the reference itself cannot run in {bench.code_dtype}")
    found = [
        (
            probe,
            *compare_all(bench.flown(probe.number).outputs, bench.golden.outputs(probe), probe.noise[bench.code_dtype]),
        )
        for probe in probes
    ]
    worst = max(found, key=lambda item: item[1].ratio)[1]
    said = "\n".join(f"{probe.name}: {text}" for probe, _, text in found if text)
    return Measured(check, worst.metric, worst.value, worst.noise, bench.origin, said)
