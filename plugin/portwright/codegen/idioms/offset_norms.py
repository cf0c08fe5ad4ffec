"""Forwards that are MLX's fused RMS norm with a weight kept as its distance from one, proved on every instance."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

import mlx.core as mx

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.idioms.norms import close, path_of
from portwright.codegen.idioms.relied import guarded
from portwright.codegen.program import Program
from portwright.codegen.quote import quote
from portwright.codegen.trace import ModuleTrace, SampleCall

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope


def proved_offset_norms(program: Program, samples: Mapping[str, mx.array]) -> dict[str, str]:
    """For each forward that is such a norm in all classes that have it, the attribute that holds its eps."""
    calls: dict[str, SampleCall] = {c.path: c for c in program.trace.samples if c.path}
    found: dict[str, set[str]] = {}
    for cls, instances in program.instances.items():
        fid = program.method(cls, "forward")
        if program.is_torch(cls) or not fid:
            continue
        for module in instances:
            held = eps_of(module, calls.get(path_of(program, module)), samples)
            found[fid] = found.get(fid, held) & held
    return {fid: sorted(held)[0] for fid, held in found.items() if held and len(program.functions[fid].parameters) == 2}


def eps_of(module: ModuleTrace, call: SampleCall | None, samples: Mapping[str, mx.array]) -> set[str]:
    """The attributes whose number as eps makes one recorded call come out."""
    if call is None or {k for k in call.tensors if k.startswith("self.")} != {"self.weight"} or len(call.tensors) != 2:
        return set()
    x = next(samples[v] for k, v in call.tensors.items() if k != "self.weight")
    weight, out = samples[call.tensors["self.weight"]], samples[call.outputs[0]]
    if x.dtype != mx.float32 or weight.shape != (x.shape[-1],):
        return set()
    numbers = {k: v for k, v in module.numbers.items() if isinstance(v, float)}
    return {k for k, v in numbers.items() if close(mx.fast.rms_norm(x, 1.0 + weight, v), out)}


def offset_norm_body(scope: Scope) -> list[ast.stmt] | None:
    """The replacement body of such a forward."""
    eps = scope.work.proofs.offset_norms.get(scope.trace.fid)
    if eps is None or scope.is_last(ast.Name(scope.params[1], ast.Load())):
        return None
    me, x = scope.params
    made = quote(f"mx.fast.rms_norm({x}, 1.0 + {me}.weight, {me}.{eps})")
    ask(made, *[Demand("live", scope.trace.owner, attr) for attr in ("weight", eps)])
    statement = ast.Return(made)
    statement.origin = scope.tree.body[-1].lineno  # type: ignore[attr-defined]
    return guarded(scope, statement, frozenset({eps}))
