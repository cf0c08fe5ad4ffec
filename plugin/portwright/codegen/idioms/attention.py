"""Functions of (query, key, value, attention_mask) that are scaled dot product attention, proved on recorded calls."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

import mlx.core as mx

from portwright.codegen.facts.returns import result_of
from portwright.codegen.idioms.norms import close
from portwright.codegen.idioms.relied import guarded
from portwright.codegen.program import Function, Program
from portwright.codegen.trace import SampleCall

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

PROTOCOL = ("module", "query", "key", "value", "attention_mask")


def proved_attention(program: Program, samples: Mapping[str, mx.array]) -> frozenset[str]:
    """Functions of this protocol that equal MLX's attention in every recorded call, with and without a mask."""
    found = set()
    for fid, function in program.functions.items():
        if tuple(function.parameters[:5]) != PROTOCOL or function.trace.owner:
            continue
        calls = [c for c in program.trace.samples if c.fid == fid]
        if calls and all(equals(c, samples) for c in calls) and plain_otherwise(function):
            found.add(fid)
    return frozenset(found)


def equals(call: SampleCall, samples: Mapping[str, mx.array]) -> bool:
    t = {k: samples[v] for k, v in call.tensors.items()}
    if set(t) - {"query", "key", "value", "attention_mask"} or t["query"].ndim != 4:
        return False
    scale = call.plain.get("scaling")
    scale = float(scale) if scale is not None else t["query"].shape[-1] ** -0.5
    y = mx.fast.scaled_dot_product_attention(
        t["query"], t["key"], t["value"], scale=scale, mask=t.get("attention_mask")
    )
    return close(y.transpose(0, 2, 1, 3), samples[call.outputs[0]])


def plain_otherwise(function: Function) -> bool:
    """It returns (output, weights), and every other parameter kept one value in all runs."""
    result = result_of(function, {})
    if result is None or result.size != 2:
        return False
    for q in function.parameters[5:]:
        seen = function.trace.params.get(q)
        if q not in ("scaling", "dropout") and seen is not None and not seen.const:
            return False
    return True


def otherwise_literal(scope: Scope) -> bool:
    """Whether every other parameter that the function reads is one literal at every call site: no config changes it."""
    read = {n.id for n in ast.walk(scope.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for q in scope.params[5:]:
        seen = scope.trace.params.get(q)
        if q in ("scaling", "dropout") or q not in read or seen is None or not seen.const:
            continue
        if not scope.facts.args.get((scope.trace.fid, q), frozenset()) <= {repr(seen.consts[0])}:
            return False
    return True


def attention_body(scope: Scope) -> list[ast.stmt] | None:
    """The replacement body; None where somebody uses the attention weights, which the fused kernel does not give."""
    if scope.work.used(scope.trace.fid) - {0} or not otherwise_literal(scope):
        return None
    scaling = "query.shape[-1] ** -0.5"  # what None stands for
    seen = scope.trace.params.get("scaling")
    if seen is not None and "none" in seen.kinds and seen.kinds != {"none"}:
        return None
    if scope.folded.get("scaling") is not None:
        scaling = repr(scope.folded["scaling"])
    elif seen is not None and seen.kinds != {"none"}:
        scaling = "scaling"
    mask = "" if "attention_mask" in scope.folded else ", mask=attention_mask"
    text = f"mx.fast.scaled_dot_product_attention(query, key, value, scale={scaling}{mask}).transpose(0, 2, 1, 3)"
    made = ast.Return(ast.parse(text, mode="eval").body)
    made.origin = 1  # type: ignore[attr-defined]
    return guarded(scope, made, frozenset())
