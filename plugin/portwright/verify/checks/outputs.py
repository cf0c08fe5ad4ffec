"""Compare the whole port with the whole reference, on probes that codegen saw and on probes that it did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from portwright.verify.compare import INCOMPARABLE, distance, furthest, greatest_difference
from portwright.verify.golden import GoldenProbe
from portwright.verify.measure.bench import Array, Bench, Measured, NotRun, compare_all, measured
from portwright.verify.measure.port import line_in
from portwright.verify.tolerance import UNBOUNDED


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """The worst figure over the observed probes, and over the unobserved ones; long ones have a check of their own."""
    for where, wanted in (("observed", True), ("unobserved", False)):
        probes = [p for p in bench.golden.probes if p.observed is wanted and "long" not in p.tags]
        yield over(bench, f"outputs/{where}", probes)


def over(bench: Bench, check: str, probes: Sequence[GoldenProbe]) -> Measured | NotRun:
    """One figure for several probes: the one furthest beyond its noise."""
    if not probes:
        return NotRun(check, "the golden holds no such probe")
    probes = [p for p in probes if bench.code_dtype in p.noise]
    if not probes:
        return NotRun(check, f"the reference was not run in {bench.code_dtype} on these probes")
    found = []
    for probe in probes:
        given, wanted = bench.flown(probe.number).outputs, bench.golden.outputs(probe)
        one = compare_all(given, wanted, probe.noise[bench.code_dtype])
        found.append(replace(one, said=f"{probe.name}: {one.said}" if one.said else ""))
    return measured(check, furthest(found), bench.origin)


def outputs_of(bench: Bench, probe: int) -> Mapping[str, Array]:
    """The port's outputs; none where its own code fails, which the check of the probe has said."""
    try:
        return bench.flown(probe).outputs
    except Exception as error:
        if not line_in(error, bench.port.folder / "model.py"):
            raise
        return {}


def table(bench: Bench) -> list[dict[str, Any]]:
    """Every output of every probe with its figures, for a report."""
    rows = []
    for probe in bench.golden.probes:
        given, wanted = outputs_of(bench, probe.number), bench.golden.outputs(probe)
        for name, array in wanted.items():
            found = distance(given[name], array) if name in given else INCOMPARABLE
            rows.append(
                {
                    "name": f"{probe.name}/{name}",
                    "observed": probe.observed,
                    "rel_l2": found.rel_l2,
                    "max_abs": greatest_difference(given[name], array) if name in given else UNBOUNDED,
                }
            )
    return rows
