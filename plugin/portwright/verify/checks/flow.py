"""Follow the port's own run module by module, and find where it leaves the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from portwright.verify.checks import modules
from portwright.verify.compare import Comparison, furthest
from portwright.verify.measure.bench import Bench, Flown, Measured, NotRun, compare_all, measured


@dataclass(frozen=True)
class Step:
    """One module's output in the port's own run."""

    module: str
    found: Comparison


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
        entry = bench.modules[path]
        if entry.get("flow") is False:
            continue  # the portmap says why its result may be another one
        wanted = modules.expected(call, entry, bench.golden)
        yield Step(call.module, compare_all(modules.in_reference_layout(given, entry, wanted), wanted, noise))


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """The figure furthest beyond its noise; what is said names the first module that left, not the worst."""
    found = list(steps(bench, bench.flown, bench.code_dtype))
    if not found:
        yield NotRun("flow/modules", "the port calls none of the modules that the portmap names")
        return
    worst = furthest([step.found for step in found])
    yield measured("flow/modules", replace(worst, said=first_divergence(found)), bench.origin)


def first_divergence(found: Iterable[Step]) -> str:
    """Name the first module that left the reference, and how; "" where none did."""
    first = next((step for step in found if step.found.said), None)
    return f"first divergence in the run: {first.module}: {first.found.said}" if first else ""
