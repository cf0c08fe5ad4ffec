"""Run the port as it is stored, in a 16-bit dtype, against the reference's own noise in that dtype."""

from __future__ import annotations

from collections.abc import Iterator

from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun, compare_all


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """One figure over all probes; a float32 port has none, since its code is judged in float32 anyway."""
    if bench.dtype == "float32" or bench.quantized:
        return
    found = []
    for probe in bench.golden.probes:
        tensors, kwargs = bench.golden.arguments(probe.inputs)
        result = mlx_port.run(bench.stored_model, tensors, kwargs, mlx_port.DTYPES[bench.dtype])
        figure, said = compare_all(mlx_port.arrays(result), bench.golden.outputs(probe), probe.noise[bench.dtype])
        found.append((figure, f"{probe.name}: {said}" if said else ""))
    worst = max(found, key=lambda item: item[0].ratio)[0]
    said = "\n".join(text for _, text in found if text)
    yield Measured("native/outputs", worst.metric, worst.value, worst.noise, bench.dtype, said)
