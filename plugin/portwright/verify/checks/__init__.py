"""The checks: one module each, all satisfying `Check`, listed in one registry. They measure and never judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from portwright.verify.checks import (
    batch,
    bijection,
    cache,
    coverage,
    determinism,
    dtype,
    elements,
    flow,
    greedy,
    isolate,
    long,
    native,
    outputs,
    padding,
    quantization,
    sensitivity,
    speed,
)
from portwright.verify.measure.bench import Bench, Measured, NotRun


class Check(Protocol):
    """Measure one property of a port; every figure has the identity `<name>/<where>`."""

    def __call__(self, bench: Bench) -> Iterable[Measured | NotRun]: ...


REGISTRY: dict[str, Check] = {
    "coverage": coverage.run,
    "bijection": bijection.run,
    "dtype": dtype.run,
    "isolate": isolate.run,
    "flow": flow.run,
    "outputs": outputs.run,
    "native": native.run,
    "long": long.run,
    "greedy": greedy.run,
    "padding": padding.run,
    "batch": batch.run,
    "cache": cache.run,
    "determinism": determinism.run,
    "sensitivity": sensitivity.run,
    "elements": elements.run,
    "quantization": quantization.run,
    "speed": speed.run,
}
