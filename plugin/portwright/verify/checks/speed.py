"""How fast is the port, and how much memory does it take? Recorded, not judged."""

from __future__ import annotations

import time
from collections.abc import Iterator

import mlx.core as mx

from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun

REPEATS = 3


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Median seconds of the first probe's run, and the greatest memory that MLX held during it."""
    inputs, kwargs = bench.golden.arguments(bench.golden.probes[0].inputs)
    model = bench.stored_model
    dtype = None if bench.dtype == "float32" else mlx_port.DTYPES[bench.dtype]
    mlx_port.run(model, inputs, kwargs, dtype)
    mx.reset_peak_memory()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        mlx_port.run(model, inputs, kwargs, dtype)
        seconds.append(time.perf_counter() - start)
    yield Measured("speed/forward", "seconds", sorted(seconds)[REPEATS // 2], 0, "recorded")
    yield Measured("speed/peak_memory", "bytes", float(mx.get_peak_memory()), 0, "recorded")
