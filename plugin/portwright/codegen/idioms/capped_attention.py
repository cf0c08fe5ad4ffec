"""Attention whose scores a tanh keeps within a bound: functions of the protocol, proved on recorded calls."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

import mlx.core as mx

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.facts.returns import result_of
from portwright.codegen.idioms.attention import PROTOCOL
from portwright.codegen.idioms.norms import close
from portwright.codegen.idioms.relied import guarded
from portwright.codegen.program import Function, Program
from portwright.codegen.quote import quote
from portwright.codegen.trace import SampleCall

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

SNIPPET = '''def capped_attention(query, key, value, mask, scale, cap):
    """Attention with scores kept within `cap`, where there is one; keys and values may have fewer heads."""
    batch, heads, length, width = query.shape
    grouped = (query * scale).reshape(batch, key.shape[1], -1, length, width)
    scores = grouped @ key[:, :, None].swapaxes(-1, -2)
    if cap is not None:
        scores = mx.tanh(scores / cap) * cap
    if mask is not None:
        scores = scores + (mask[:, :, None] if mask.ndim == 4 else mask)
    weights = mx.softmax(scores, axis=-1, precise=True).astype(query.dtype)
    out = (weights @ value[:, :, None]).reshape(batch, heads, length, -1)
    return out.transpose(0, 2, 1, 3)
'''

ADDED = """        scores = scores + (mask[:, :, None] if mask.ndim == 4 else mask)
"""
CHOSEN = """        mask = mask[:, :, None] if mask.ndim == 4 else mask
        if mask.dtype == mx.bool_:
            scores = mx.where(mask, scores, mx.finfo(scores.dtype).min)
        else:
            scores = scores + mask
"""
BOOLEAN = SNIPPET.replace(ADDED, CHOSEN)  # under mlx-lm, whose masks say what is seen; those of the reference are added


def capped(
    query: mx.array, key: mx.array, value: mx.array, mask: mx.array | None, scale: float, cap: float
) -> mx.array:
    """What the snippet computes."""
    scope: dict[str, object] = {"mx": mx}
    exec(SNIPPET, scope)
    made: mx.array = scope["capped_attention"](query, key, value, mask, scale, cap)  # type: ignore[operator]
    return made


def proved_capped(program: Program, samples: Mapping[str, mx.array], plain: frozenset[str]) -> dict[str, str]:
    """For each such function that is not MLX's own attention, the parameter that is the bound."""
    found = {}
    for fid, function in program.functions.items():
        result = result_of(function, {})
        if fid in plain or tuple(function.parameters[:5]) != PROTOCOL or function.trace.owner:
            continue
        if result is None or result.size != 2 or "scaling" not in function.parameters:
            continue
        calls = [c for c in program.trace.samples if c.fid == fid]
        others = [q for q in function.parameters[5:] if q not in ("scaling", "dropout")]
        if len(others) == 1 and calls and all(equals(c, others[0], samples) for c in calls):
            found[fid] = others[0]
    return found


def equals(call: SampleCall, cap: str, samples: Mapping[str, mx.array]) -> bool:
    t = {k: samples[v] for k, v in call.tensors.items()}
    bound, scale, mask = call.plain.get(cap), call.plain.get("scaling"), t.get("attention_mask")
    if set(t) - {"query", "key", "value", "attention_mask"} or not isinstance(bound, float) or scale is None:
        return False
    if t["query"].ndim != 4 or t["query"].shape[1] % t["key"].shape[1] or (mask is not None and mask.shape[1] != 1):
        return False
    y = capped(t["query"], t["key"], t["value"], mask, float(scale), bound)
    return close(y, samples[call.outputs[0]])


def all_boolean(scope: Scope) -> bool:
    """Whether every attention of a port takes boolean masks: it is MLX's own, or this one."""
    proofs, functions = scope.work.proofs, scope.program.functions
    attentions = {f for f, function in functions.items() if is_attention(function)}
    return bool(attentions) and attentions <= {*proofs.attention, *proofs.capped}


def is_attention(function: Function) -> bool:
    """Whether a function that ran takes queries, keys and a mask."""
    named = {"query", "key", "attention_mask"} <= set(function.parameters)
    return named and bool(function.trace.entered) and not function.trace.owner


def capped_body(scope: Scope) -> list[ast.stmt] | None:
    """The replacement body; None where somebody uses the attention weights."""
    cap = scope.work.proofs.capped[scope.trace.fid]
    if scope.work.used(scope.trace.fid) - {0}:
        return None
    mask = "None" if "attention_mask" in scope.folded else "attention_mask"
    values = [scope.expr(ast.Name(q, ast.Load())) for q in ("scaling", cap)]
    made = quote(f"capped_attention(query, key, value, {mask}, s, c)", s=values[0], c=values[1])
    snippet = (
        "capped_attention_boolean" if scope.program.runtime == "mlx-lm" and all_boolean(scope) else "capped_attention"
    )
    statement = ast.Return(ask(made, Demand("snippet", snippet)))
    statement.origin = 1  # type: ignore[attr-defined]
    return guarded(scope, statement, frozenset())
