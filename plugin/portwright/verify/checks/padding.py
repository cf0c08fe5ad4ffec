"""Does what is masked stay out? A text alone and the same text with junk behind it must have one answer."""

from __future__ import annotations

from collections.abc import Iterator

from portwright.verify.golden import distance_of
from portwright.verify.measure.bench import Bench, Measured, NotRun, compare_all, measured


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """How far the padded run is from the short one, against how far the reference's are."""
    pair = bench.golden.body["padding"]
    if pair is None:
        return
    short = bench.run(pair["short"])
    padded = bench.run(pair["padded"])
    length = pair["length"]
    kept = {
        name: array if array.ndim < 2 or array.shape == short[name].shape else array[:, :length]
        for name, array in padded.items()
        if name in short
    }
    yield measured(
        "padding/invariance", compare_all(kept, short, distance_of(pair["noise"][bench.code_dtype])), "reference"
    )
