"""The same comparisons element by element, so that one large channel cannot hide an error in the others.

Each comparison has two views, relative L2 and the greatest scaled difference. The entries of the other checks hold the
first; here is the second, of the module and of the output where it is furthest beyond its own noise.
"""

from __future__ import annotations

from collections.abc import Iterator

from portwright.verify.measure.bench import Bench, Measured, NotRun

WHERE = {"modules": ("isolate/", "flow/"), "outputs": ("outputs/", "long/", "padding/", "batch/", "native/")}


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """The worst element of all modules, and of all outputs."""
    for where, checks in WHERE.items():
        found = [(one.elements, one) for one in bench.done if one.elements is not None and one.check.startswith(checks)]
        if not found:
            yield NotRun(f"elements/{where}", "nothing was compared")
            continue
        figure, one = max(found, key=lambda item: item[0].ratio)
        said = f"in {one.check}: {one.detail}" if one.detail else ""
        yield Measured(f"elements/{where}", figure.metric, figure.value, figure.noise, one.origin, said)
