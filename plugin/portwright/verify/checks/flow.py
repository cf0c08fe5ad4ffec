"""Follow the port's own run module by module, and find where it leaves the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from portwright.verify.checks import modules
from portwright.verify.compare import Figure
from portwright.verify.measure.bench import Bench, Flown, Measured, NotRun, compare_all


@dataclass(frozen=True)
class Step:
    """One module's output in the port's own run."""

    module: str
    figure: Figure
    said: str


def steps(bench: Bench, runs: Callable[[int], Flown], dtype: str) -> Iterator[Step]:
    """Every recorded call that the port makes too, in the order in which the reference completed them.

    `runs` gives the port's run of a probe, `dtype` is what it ran in.
    """
    for call in bench.golden.calls:
        path = bench.by_reference.get(call.module)
        noise = call.flow.get(dtype)
        if path is None or noise is None:
            continue
        given = runs(call.probe).modules.get((path, call.index))
        if not given:
            continue
        expected = bench.golden.result(call)
        named = modules.in_reference_layout(given, bench.modules[path], expected)
        figure, said = compare_all(named, modules.wanted(named, expected), noise)
        yield Step(call.module, figure, said)


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """The figure furthest beyond its noise; what is said names the first module that left, not the worst."""
    found = list(steps(bench, bench.flown, bench.code_dtype))
    if not found:
        yield NotRun("flow/modules", "the port calls none of the modules that the portmap names")
        return
    worst = max(found, key=lambda step: step.figure.ratio).figure
    yield Measured("flow/modules", worst.metric, worst.value, worst.noise, bench.origin, first_divergence(found))


def first_divergence(found: Iterable[Step]) -> str:
    """Name the first module that left the reference, and how; "" where none did."""
    first = next((step for step in found if step.said), None)
    return f"first divergence in the run: {first.module}: {first.said}" if first else ""
