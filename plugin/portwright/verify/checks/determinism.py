"""Does the same input give the same bits twice?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Count the elements that differ between two runs of each probe."""
    count, said = 0, []
    for probe in bench.golden.probes:
        first = bench.flown(probe.number).outputs
        again = mlx_port.arrays(mlx_port.run(bench.model, *bench.golden.arguments(probe.inputs)))
        for name, array in first.items():
            same = name in again and again[name].shape == array.shape
            differing = int((~_equal(array, again[name])).sum()) if same else array.size
            if differing:
                count += differing
                said.append(f"{probe.name} {name}: {differing} of {array.size} elements differ between two runs")
    yield Measured("determinism/repeat", "mismatches", count, 0, "exact", "\n".join(said))


def _equal(a: mlx_port.Array, b: mlx_port.Array) -> mlx_port.Array:
    both_nan = (a != a) & (b != b)
    result: mlx_port.Array = (a == b) | both_nan
    return np.asarray(result)
