"""Classes that normalise their last axis: proved on a recorded call of every instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from portwright.codegen.program import Program
from portwright.codegen.trace import PLAIN_KINDS, ModuleTrace, SampleCall

TOLERANCE = 2e-6
PLAIN = PLAIN_KINDS | {"tuple", "list", "size", "dtype", "device"}


@dataclass(frozen=True)
class Norm:
    """The MLX layer, and the numbers that tell its width and eps among constructor arguments."""

    layer: str  # "RMSNorm" | "LayerNorm"
    widths: frozenset[int]
    epsilons: frozenset[float]
    biased: bool = True  # of a LayerNorm


def close(got: mx.array, want: mx.array) -> bool:
    a, b = np.array(got), np.array(want)
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= TOLERANCE * (np.linalg.norm(b) + 1e-12))


def proved_norms(program: Program, samples: Mapping[str, mx.array]) -> dict[str, Norm]:
    """Rewritten classes whose every instance computes MLX's RMSNorm or LayerNorm on recorded numbers."""
    calls: dict[str, SampleCall] = {c.path: c for c in program.trace.samples if c.path}
    found: dict[str, Norm] = {}
    for cls, instances in program.instances.items():
        if program.is_torch(cls) or not program.method(cls, "forward"):
            continue
        results = [instance_norm(m, calls.get(path_of(program, m)), samples) for m in instances]
        if not results or any(r is None for r in results):
            continue
        layers = {(r.layer, r.biased) for r in results if r is not None}
        if len(layers) == 1:
            layer, biased = layers.pop()
            widths = frozenset(w for r in results if r for w in r.widths)
            norm = Norm(layer, widths, frozenset(e for r in results if r for e in r.epsilons), biased)
            if is_given_width(program, cls, norm) and is_told_plainly(program, cls):
                found[cls] = norm
    return found


def is_given_width(program: Program, cls: str, norm: Norm) -> bool:
    """Whether the constructor is told the width; one that takes it from elsewhere is ported as it is written."""
    init = program.functions.get(program.method(cls, "__init__"))
    if init is None or init.tree.args.vararg or init.tree.args.kwarg:
        return True
    seen = [init.trace.params[q] for q in init.parameters[1:] if q in init.trace.params]
    return any(s.consts and set(s.consts) <= norm.widths for s in seen)


def is_told_plainly(program: Program, cls: str) -> bool:
    """Whether the constructor's arguments are plain values, which a port can ask to be what they were."""
    init = program.functions.get(program.method(cls, "__init__"))
    given = [init.trace.params[q] for q in init.parameters[1:] if q in init.trace.params] if init is not None else []
    return all(s.kinds <= PLAIN for s in given)


def path_of(program: Program, module: ModuleTrace) -> str:
    return next(p for p, m in program.modules.items() if m is module)


def instance_norm(module: ModuleTrace, call: SampleCall | None, samples: Mapping[str, mx.array]) -> Norm | None:
    """Which norm one instance computes. Its weights come with the sample."""
    if call is None or len(call.tensors) != 1 + len([k for k in call.tensors if k.startswith("self.")]):
        return None
    weights = {k.removeprefix("self."): samples[v] for k, v in call.tensors.items() if k.startswith("self.")}
    inputs = [samples[v] for k, v in call.tensors.items() if not k.startswith("self.")]
    if len(inputs) != 1 or set(weights) - {"weight", "bias"} or "weight" not in weights:
        return None
    x, out = inputs[0], samples[call.outputs[0]]
    w, b = weights["weight"], weights.get("bias")
    if x.dtype != mx.float32 or w.shape != (x.shape[-1],):
        return None
    for eps in [v for v in module.numbers.values() if isinstance(v, float)]:
        if b is None and close(mx.fast.rms_norm(x, w, eps), out):
            return Norm("RMSNorm", frozenset(w.shape), frozenset({eps}))
        if close(mx.fast.layer_norm(x, w, b, eps), out):
            return Norm("LayerNorm", frozenset(w.shape), frozenset({eps}), b is not None)
    return None
