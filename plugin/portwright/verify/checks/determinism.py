"""Does the same input give the same bits twice?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from portwright.verify.measure.bench import Array, Bench, Flown, Measured, NotRun, fly


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Count the elements that differ between two runs of each probe, and name the first module where they do."""
    count, said = 0, []
    for probe in bench.golden.probes:
        first, again = bench.flown(probe.number), fly(bench.model, *bench.golden.arguments(probe.inputs), bench.floats)
        differing = differences(first.outputs, again.outputs)
        if differing:
            count += differing
            said.append(f"{probe.name}: {differing} elements differ between two runs, {origin(first, again)}")
    yield Measured("determinism/repeat", "mismatches", count, 0, "exact", "\n".join(said))


def differences(a: Mapping[str, Array], b: Mapping[str, Array]) -> int:
    """Count the elements that are not the same bits; one that has no partner counts too."""
    count = 0
    for name, array in a.items():
        other = b.get(name)
        if other is None or other.shape != array.shape:
            count += array.size
        elif array.tobytes() != other.tobytes():
            count += int(np.sum((array != other) & ~((array != array) & (other != other))))
    return count


def origin(first: Flown, again: Flown) -> str:
    """Name the first module, in the port's order of completion, whose output is not repeated."""
    for (path, n), outputs in first.modules.items():
        if differences(outputs, again.modules.get((path, n), {})):
            return f"first in {path}"
    return "in the model's own code"
