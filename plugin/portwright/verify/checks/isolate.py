"""Feed each module of the port the input that the reference's module had, so that no error hides behind another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx

from portwright.verify.checks import modules
from portwright.verify.compare import INCOMPARABLE, Comparison, against, furthest
from portwright.verify.golden import Call
from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun, compare_all, measured
from portwright.verify.tolerance import limits


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """One figure a module, in the order in which the reference completes them, and the share left uncovered."""
    paths = mlx_port.paths_of(bench.model)
    exempt = bench.exempt()
    total = covered = 0
    held = set(bench.golden.body["facts"]["modules"])
    for module, calls in bench.golden.calls_by_module():
        if module not in held:
            continue  # a table of constants: followed in the run
        total += 1
        if module in exempt:
            continue
        path = bench.by_reference.get(module)
        if path is None or path not in paths:
            why = "the portmap does not name it" if path is None else f"the port has no module {path}"
            yield NotRun(f"isolate/{module}", why)
            continue
        found = measure(bench, paths, paths[path], bench.modules[path], calls)
        if isinstance(found, str):
            yield NotRun(f"isolate/{module}", found)
            continue
        covered += 1
        yield measured(f"isolate/{module}", found, bench.origin)
    total += len(bench.golden.body["uncalled"])
    share = 1 - covered / total if total else 0.0
    yield Measured(
        "isolate/share", "uncovered_share", share, limits().uncovered_share, "design", f"{covered} of {total} modules"
    )


def measure(
    bench: Bench, paths: Mapping[str, Any], module: Any, entry: Mapping[str, Any], calls: Sequence[Call]
) -> Comparison | str:
    """The worst over a module's recorded calls, or why none could be made."""
    found: list[Comparison] = []
    reason = "the reference's own module could not be run alone"
    for call in calls:
        noise = call.noise.get(bench.code_dtype) or call.flow.get(bench.code_dtype)
        if noise is None:
            continue
        try:
            given, named = modules.arguments(call, entry, bench.golden, bench.floats, paths)
            result = module(*given, **named)
            outputs = mlx_port.named_outputs(result)
            mx.eval(list(outputs.values()))
        except modules.CannotCall as error:
            reason = str(error)
            continue
        except Exception as error:
            line = mlx_port.line_in(error, bench.port.folder / "model.py")
            return replace(against(INCOMPARABLE, noise), said=f"model.py{line}: {type(error).__name__}: {error}")
        expected = modules.expected(call, entry, bench.golden)
        found.append(
            compare_all(modules.in_reference_layout(mlx_port.arrays(result), entry, expected), expected, noise)
        )
    return furthest(found) if found else reason
