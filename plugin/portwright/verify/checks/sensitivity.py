"""Which parameters and inputs move an output? What moves none in the reference is not covered by any figure;
what moves one in the reference and none in the port is not connected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from portwright.nesting import nested
from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Count the unobserved and the unconnected parameters, then the same for inputs."""
    unused = bench.port.portmap.get("unused", {})
    inventory = bench.golden.body["parameters"]
    blind = set(bench.golden.body["sensitivity"]["unobserved"]) - set(unused)
    said = [f"{name}: no probe's output depends on it: unobserved" for name in sorted(blind)]
    sources = {key: entry["from"] for key, entry in bench.port.portmap["params"].items()}
    for key in dead_parameters(bench):
        names = [n for n in sources.get(key, []) if n in inventory and n not in blind]
        if names:
            said.append(f"{key}: moves an output of the reference ({', '.join(names)}) and none of the port")
    yield Measured("sensitivity/parameters", "mismatches", len(said), 0, "exact", "\n".join(said))

    reference = bench.golden.body["sensitivity"]["inputs"]
    port = live_inputs(bench)
    said = [f"{name}: no probe's output depends on it: unobserved" for name, live in reference.items() if not live]
    said += [
        f"{name}: moves an output of the reference and none of the port"
        for name, live in reference.items()
        if live and not port.get(name)
    ]
    yield Measured("sensitivity/inputs", "mismatches", len(said), 0, "exact", "\n".join(said))


def dead_parameters(bench: Bench) -> list[str]:
    """Parameters of the port whose shaking moves no output of any probe."""
    live = _by_gradient(bench)
    dead = [key for key in mlx_port.parameters(bench.model) if key not in live]
    for probe in bench.golden.probes:
        if not dead:
            break
        inputs, kwargs = bench.golden.arguments(probe.inputs)
        before = bench.flown(probe.number).outputs
        dead = [key for key in dead if not _moves(bench, key, inputs, kwargs, before)]
    return dead


def _by_gradient(bench: Bench) -> set[str]:
    """One backward pass finds nearly all; a port that it fails on is shaken parameter by parameter."""
    model = bench.model
    kept = model.parameters()
    inputs, kwargs = bench.golden.arguments(bench.golden.probes[0].inputs)
    given = {k: mlx_port.to_mlx(v, bench.floats) for k, v in inputs.items()}

    def loss(parameters: Any) -> mx.array:
        model.update(parameters)
        outputs = mlx_port.named_outputs(model(**nested({**given, **kwargs}))).values()
        floats = [a.astype(mx.float32) for a in outputs if mx.issubdtype(a.dtype, mx.floating)]
        return mx.sum(mx.stack([mx.sum(a * mx.random.normal(a.shape, key=mx.random.key(0))) for a in floats]))

    try:
        gradients = mx.grad(loss)(kept)
        mx.eval(gradients)
    except (ValueError, RuntimeError, TypeError):
        return set()
    finally:
        model.update(kept)
    return {key for key, gradient in tree_flatten(gradients) if bool(mx.any(gradient != 0))}


def _moves(
    bench: Bench,
    key: str,
    inputs: Mapping[str, mlx_port.Array],
    kwargs: Mapping[str, object],
    before: Mapping[str, mlx_port.Array],
) -> bool:
    model = bench.model
    kept = mlx_port.parameters(model)[key]
    shaken = mlx_port.to_mlx(np.asarray(shake(mlx_port.to_numpy(kept)))).astype(kept.dtype)
    model.update(tree_unflatten([(key, shaken)]))
    try:
        return _differ(before, bench.call(inputs, kwargs))
    finally:
        model.update(tree_unflatten([(key, kept)]))


def live_inputs(bench: Bench) -> dict[str, bool]:
    """For each tensor argument, whether shaking it moves an output of some probe of the port."""
    live: dict[str, bool] = {}
    for probe in bench.golden.probes:
        inputs, kwargs = bench.golden.arguments(probe.inputs)
        for name in [n for n in inputs if not live.get(n)]:
            changed = {**inputs, name: shake(inputs[name])}
            try:
                result = bench.call(changed, kwargs)
            except (ValueError, IndexError, TypeError, RuntimeError):
                live[name] = True
                continue
            live[name] = _differ(bench.flown(probe.number).outputs, result)
    return live


def shake(array: mlx_port.Array) -> mlx_port.Array:
    """A value that differs in every element; integers stay within the array's own range."""
    if array.dtype.kind == "b":
        return ~array
    if array.dtype.kind in "fc":
        noise = np.random.default_rng(1).standard_normal(array.shape)
        size = float(np.abs(array).mean()) if array.size else 0.0
        return (array + (0.5 * size + 0.1) * noise).astype(array.dtype)
    high = int(array.max()) if array.size else 0
    if high:
        return np.where(array < high, array + 1, 0).astype(array.dtype)
    return (1 - np.clip(array, 0, 1)).astype(array.dtype)


def _differ(a: Mapping[str, mlx_port.Array], b: Mapping[str, mlx_port.Array]) -> bool:
    return any(
        name not in b or b[name].shape != array.shape or not np.array_equal(array, b[name], equal_nan=True)
        for name, array in a.items()
    )
