"""Does a row's answer depend on its neighbours in the batch?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portwright.verify.golden import distance_of
from portwright.verify.measure.bench import Bench, Measured, NotRun, compare_all, measured


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """How far rows run one by one are from the batch, against how far the reference's are."""
    entry = bench.golden.body["batch"]
    if entry is None:
        return
    tensors, kwargs = bench.golden.arguments(bench.golden.probes[entry["probe"]].inputs)
    whole = bench.flown(entry["probe"]).outputs
    rows = []
    for row in range(len(tensors[entry["args"][0]])):
        one = {k: t[row : row + 1] if k in entry["args"] else t for k, t in tensors.items()}
        rows.append(bench.call(one, kwargs))
    joined = {name: np.concatenate([r[name] for r in rows]) for name in whole if all(name in r for r in rows)}
    yield measured(
        "batch/invariance", compare_all(joined, whole, distance_of(entry["noise"][bench.code_dtype])), "reference"
    )
