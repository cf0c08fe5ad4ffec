"""Run the port as it is stored, in a 16-bit dtype, against the reference's own noise in that dtype."""

from __future__ import annotations

from collections.abc import Iterator

from portwright.verify.checks.flow import first_divergence, steps
from portwright.verify.measure.bench import Bench, Measured, NotRun, compare_all


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """One figure over all probes; a float32 port has none, since its code is judged in float32 anyway."""
    if bench.dtype == "float32" or bench.quantized:
        return
    if any(bench.dtype not in probe.noise for probe in bench.golden.probes):
        yield NotRun("native/outputs", f"the reference itself cannot run in {bench.dtype}")
        return
    found = []
    for probe in bench.golden.probes:
        given = bench.native(probe.number).outputs
        figure, said = compare_all(given, bench.golden.outputs(probe), probe.noise[bench.dtype])
        found.append((figure, f"{probe.name}: {said}" if said else ""))
    worst = max(found, key=lambda item: item[0].ratio)[0]
    texts = [text for _, text in found if text]
    if texts:
        texts.insert(0, first_divergence(steps(bench, bench.native, bench.dtype)))
    yield Measured("native/outputs", worst.metric, worst.value, worst.noise, "fp32", "\n".join(texts))
