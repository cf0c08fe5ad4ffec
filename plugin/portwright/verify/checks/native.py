"""Run the port as it is stored, in a 16-bit dtype, against the reference's own noise in that dtype."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from portwright.verify.checks.flow import first_divergence, steps
from portwright.verify.compare import furthest
from portwright.verify.measure.bench import Bench, Measured, NotRun, compare_all, measured


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """One figure over all probes; a float32 port has none, since its code is judged in float32 anyway."""
    if bench.dtype == "float32" or bench.quantized:
        return
    probes = [p for p in bench.golden.probes if bench.dtype in p.noise]
    if not probes:
        yield NotRun("native/outputs", f"the reference itself cannot run in {bench.dtype}")
        return
    found = []
    for probe in probes:
        given = bench.native(probe.number).outputs
        one = compare_all(given, bench.golden.outputs(probe), probe.noise[bench.dtype])
        found.append(replace(one, said=f"{probe.name}: {one.said}" if one.said else ""))
    worst = furthest(found)
    if worst.said:
        first = first_divergence(steps(bench, bench.native, bench.dtype))
        worst = replace(worst, said=f"{first}\n{worst.said}")
    yield measured("native/outputs", worst, "fp32")
