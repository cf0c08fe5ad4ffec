"""Follow the source's bytes through moves.json into the port, and count each element's arrivals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from portwright.verify import circuit
from portwright.verify.gguffile import GgufTensors
from portwright.verify.measure.port import read_safetensors


def sources_of(body: Mapping[str, Any], snapshot: Path) -> dict[str, Mapping[str, Any]]:
    """The tensors of each source file by key, those of a GGUF file dequantized when they are asked for."""
    names = sorted({source["file"] for source in body["sources"].values()})
    return {
        name: GgufTensors(snapshot / name) if name.endswith(".gguf") else read_safetensors(snapshot / name)
        for name in names
    }


def follow(moves: Path, snapshot: Path, stored: Mapping[str, mx.array], dtype: mx.Dtype) -> list[str]:
    """Say of each move what does not arrive: lost or doubled elements, bytes that differ, keys claimed twice.

    `dtype` is what the port's floats are stored in.
    """
    body = json.loads(moves.read_text(encoding="utf-8"))
    handles = sources_of(body, snapshot)
    said, claimed = [], [drop["source"] for drop in body["drops"]]
    produced: list[str] = []
    for move in body["moves"]:
        claimed += move["sources"]
        produced += [target["key"] for target in move["targets"]]
        sources = [mx.array(handles[body["sources"][key]["file"]][key]) for key in move["sources"]]
        said += lost(move, [tuple(s.shape) for s in sources])
        said += differing(move, sources, stored, dtype)
    said += [f"{key}: no move and no drop claims it" for key in sorted(set(body["sources"]) - set(claimed))]
    said += [f"{key}: claimed {claimed.count(key)} times" for key in sorted(set(claimed)) if claimed.count(key) > 1]
    said += [f"{key}: produced {produced.count(key)} times" for key in sorted(set(produced)) if produced.count(key) > 1]
    return said


def lost(move: Mapping[str, Any], shapes: list[tuple[int, ...]]) -> list[str]:
    """Send each element's own number through the ops: each must come out once, but for what a slice restores."""
    if not move["ops"]:
        return []
    numbers, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        numbers.append(np.arange(start, start + size).reshape(shape))
        start += size
    arrived = np.concatenate([a.reshape(-1) for a in circuit.run_move(move, numbers).values()])
    counts = np.bincount(arrived, minlength=start)
    sliced = any(op["op"] == "slice" for op in move["ops"])
    doubled, missing = int((counts > 1).sum()), 0 if sliced else int((counts == 0).sum())
    if doubled or missing:
        return [f"{', '.join(move['sources'])}: {missing} elements are lost and {doubled} arrive more than once"]
    return []


def differing(
    move: Mapping[str, Any], sources: list[mx.array], stored: Mapping[str, mx.array], dtype: mx.Dtype
) -> list[str]:
    """Compare each target's stored bits with the source's, floats cast to the port's dtype as MLX casts."""
    said = []
    for target in move["targets"]:
        key = target["key"]
        if key not in stored:
            said.append(f"{key}: a move makes it, and the weights do not hold it")
            continue
        cast = [s.astype(dtype) if mx.issubdtype(s.dtype, mx.floating) else s for s in sources]
        expected = circuit.run_move(move, [_bits(s) for s in cast])[key]
        if not np.array_equal(expected, _bits(stored[key])):
            said.append(f"{key}: its bytes are not those of {', '.join(move['sources'])}")
    return said


def _bits(value: mx.array) -> NDArray[Any]:
    return np.array(value.view(mx.uint16) if value.dtype == mx.bfloat16 else value)


def rebuilt(moves: Path, snapshot: Path) -> dict[str, mx.array]:
    """The port's weights in float32, made from the source's bytes by moves.json alone."""
    body = json.loads(moves.read_text(encoding="utf-8"))
    handles = sources_of(body, snapshot)
    made: dict[str, mx.array] = {}
    for move in body["moves"]:
        sources = [mx.array(handles[body["sources"][key]["file"]][key]) for key in move["sources"]]
        arrays = [np.array(s.astype(mx.float32) if mx.issubdtype(s.dtype, mx.floating) else s) for s in sources]
        made |= {key: mx.array(np.ascontiguousarray(a)) for key, a in circuit.run_move(move, arrays).items()}
    return made
