"""Is everything in the dtype that was asked for: the weights at rest, and every module's output on the way?"""

from __future__ import annotations

from collections.abc import Iterator

import mlx.core as mx

from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Count stored floats in another dtype, and module outputs that leave the reference's dtype."""
    target = mlx_port.DTYPES[bench.dtype]
    wrong = [
        f"{key}: {str(value.dtype).removeprefix('mlx.core.')} where {bench.dtype} was asked for"
        for key, value in bench.port.stored().items()
        if mx.issubdtype(value.dtype, mx.floating) and value.dtype != target
    ]
    yield Measured("dtype/rest", "mismatches", len(wrong), 0, "exact", "\n".join(wrong))
    leaks = in_flight(bench)
    yield Measured("dtype/flight", "mismatches", len(leaks), 0, "exact", "\n".join(leaks))


def in_flight(bench: Bench) -> list[str]:
    """Module outputs whose float dtype is not the stored one although the reference's is."""
    run_of = bench.native if bench.dtype != "float32" or bench.quantized else bench.flown
    calls = [call for call in bench.golden.calls if bench.dtype in call.dtypes]  # those that the reference made in it
    runs = {number: run_of(number) for number in {call.probe for call in calls}}
    said = []
    for call in calls:
        path = bench.by_reference.get(call.module)
        given = runs[call.probe].dtypes.get((path, call.index)) if path is not None else None
        for dtype in given or ():
            if dtype.startswith(("float", "bfloat")) and dtype != bench.dtype and dtype not in call.dtypes[bench.dtype]:
                said.append(f"{call.module}: gives {dtype}")
    return sorted(set(said))
