"""Rotary position embeddings that equal MLX's fused kernel, proved on recorded calls.

The library computes cos and sin of positions once, in a module without parameters, and functions rotate queries and
keys by them. Where every recorded rotation is what `mx.fast.rope` gives at the recorded positions, with the module's
own frequencies, a port needs frequencies only; positions follow from what the cache holds.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

from portwright.codegen.idioms.norms import close
from portwright.codegen.program import Function, Program
from portwright.codegen.trace import SampleCall


@dataclass(frozen=True)
class Rope:
    """The functions that rotate, and the forwards that give what they rotate by."""

    rotations: Mapping[str, bool] = field(default_factory=dict)  # function -> whether neighbours are paired
    tables: Mapping[str, tuple[ast.expr, ast.expr | None]] = field(
        default_factory=dict
    )  # forward -> frequencies, scale
    plain: bool = False  # whether nothing is ever scaled, and frequencies are all that is handed on


def rotation_of(function: Function, node: ast.Call, rope: Rope) -> str:
    """The proved rotation that a call reaches, "" for any other call."""
    fids = {c.fid for c in function.seen(node).callees}
    return next(iter(fids)) if len(fids) == 1 and fids <= set(rope.rotations) else ""


def proved_rope(program: Program, samples: Mapping[str, mx.array]) -> Rope:
    """What may use the fused kernel: nothing, unless it holds for all functions and modules that take part."""
    tables = [c for c in program.trace.samples if c.path and "position_ids" in c.tensors and len(c.outputs) == 2]
    rotations: dict[str, bool] = {}
    used: set[str] = set()
    for fid, function in program.functions.items():
        calls = [c for c in program.trace.samples if c.fid == fid and {"cos", "sin"} <= set(c.tensors)]
        if not calls:
            continue
        paired = {answer for c in calls if (answer := rotation(c, function, tables, samples, used)) is not None}
        everything = all(rotation(c, function, tables, samples, used) is not None for c in calls)
        if len(paired) != 1 or not everything or function.trace.owner:
            return Rope()
        rotations[fid] = paired.pop()
    found: dict[str, tuple[ast.expr, ast.expr | None]] = {}
    for fid in {c.fid for c in tables}:
        parts = frequencies(program.functions[fid])
        if parts is None or fid not in used:
            return Rope()
        found[fid] = parts
    return Rope(rotations, found) if rotations and found else Rope()


def rotation(
    call: SampleCall, function: Function, tables: list[SampleCall], samples: Mapping[str, mx.array], used: set[str]
) -> bool | None:
    """Whether neighbours are paired in a recorded rotation; None where the kernel does not give it."""
    names = function.parameters[:2]
    if len(call.outputs) != 2 or not set(names) <= set(call.tensors):
        return None
    cos, sin = np.array(samples[call.tensors["cos"]]), np.array(samples[call.tensors["sin"]])
    for table in tables:
        same = [np.array(samples[o]) for o in table.outputs]
        if same[0].shape != cos.shape or not (np.array_equal(same[0], cos) and np.array_equal(same[1], sin)):
            continue
        positions = np.array(samples[table.tensors["position_ids"]])
        start = int(positions.reshape(-1)[0])
        if not np.array_equal(positions, np.broadcast_to(start + np.arange(positions.shape[-1]), positions.shape)):
            return None
        scale = float(np.sqrt(np.mean(cos.astype(np.float64) ** 2 + sin.astype(np.float64) ** 2)))
        for key in [k for k in table.tensors if k.startswith("self.")]:
            buffer = samples[table.tensors[key]]
            for paired in (False, True):
                if buffer.ndim == 1 and all(
                    close(turned(samples[call.tensors[q]], buffer, start, scale, paired), samples[o])
                    for q, o in zip(names, call.outputs, strict=True)
                ):
                    used.add(table.fid)
                    return paired
        return None
    return None


def turned(x: mx.array, inverse: mx.array, start: int, scale: float, paired: bool) -> mx.array:
    """What the port will compute."""
    dims = 2 * inverse.size
    if x.ndim != 4 or dims > x.shape[-1]:
        return mx.zeros((1,))
    if abs(scale - 1) > 1e-6:
        x = mx.concatenate([x[..., :dims] * scale, x[..., dims:]], axis=-1)
    return mx.fast.rope(x, dims, traditional=paired, base=None, scale=1.0, offset=start, freqs=1 / inverse)


def frequencies(function: Function) -> tuple[ast.expr, ast.expr | None] | None:
    """The expressions of the inverse frequencies and of what cos is scaled by, in a forward that gives cos and sin."""
    vectors: dict[str, ast.expr] = {}
    scales: dict[str, ast.expr] = {}
    for node in ast.walk(function.tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            seen = function.seen(node)
            if seen.kinds == {"tensor"} and seen.ranks == {1}:
                vectors[ast.unparse(node)] = node
        factor = node.right if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) else None
        if isinstance(factor, (ast.Name, ast.Attribute)) and function.seen(factor).kinds == {"float"}:
            scales[ast.unparse(factor)] = factor
    if len(vectors) != 1 or len(scales) > 1:
        return None
    return next(iter(vectors.values())), next(iter(scales.values()), None)
