"""Decide what is written where: which targets make which shard, in which order, and the digest of each shard.

Moves keep the order of their first source in the checkpoint, and drops hold their place when the shards are filled,
so an edit of one rule leaves the other shards as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from .. import __version__
from ..dtypes import DTYPES, dtype_of
from ..errors import ExitCode, PortError, Problem
from ..rules.moves import Binding, Drop, Move, Target
from ..tensorwriter import Entry
from .quantize import Quantization, Recipe

DROPPED = "dropped.safetensors"  # what restore = { stored = true } keeps


@dataclass(frozen=True)
class Output:
    """One target as it is written: cast to `dtype`, then quantized as `how` says into several entries."""

    target: Target
    dtype: str
    how: Quantization | None
    entries: tuple[Entry, ...]
    kept: bool = False  # `how` is the source's own: its blocks are repacked, not rounded again

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class Unit:
    """A move with its outputs; they stand together in one shard."""

    move: Move
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Shard:
    """One file to be written; `digest` says everything that its bytes depend on."""

    name: str
    units: tuple[Unit, ...]
    digest: str

    @property
    def entries(self) -> list[Entry]:
        return [entry for unit in self.units for output in unit.outputs for entry in output.entries]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


@dataclass
class _Filling:
    units: list[Unit] = field(default_factory=list)
    size: int = 0


def plan_shards(
    binding: Binding, dtype: str | None, recipe: Recipe | None, shard_bytes: int, weights: Mapping[str, str]
) -> list[Shard]:
    """The shards of a port; `dtype` is that of all float tensors at rest (None: as in the checkpoint).

    `weights` holds the sha256 of each source file, on which a shard's digest depends. Raises PortError where a tensor
    cannot have the dtype.
    """
    wide = _float_dtype(dtype)
    problems: list[Problem] = []
    shards = [_Filling()]
    items: list[Move | Drop] = [*binding.moves, *binding.drops]
    for item in sorted(items, key=lambda item: _position(item, binding)):
        unit = _unit(item, binding, wide, recipe, problems) if isinstance(item, Move) else None
        size = sum(o.size for o in unit.outputs) if unit else _dropped_size(item, binding, wide)
        if shards[-1].size and shards[-1].size + size > shard_bytes:
            shards.append(_Filling())
        shards[-1].size += size
        if unit is not None:
            shards[-1].units.append(unit)
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    filled = [shard for shard in shards if shard.units] or shards[:1]
    names = [_name(index, len(filled)) for index in range(len(filled))]
    return [_shard(name, shard.units, binding, weights) for name, shard in zip(names, filled, strict=True)]


def stored_sources(binding: Binding) -> list[str]:
    """Source keys that are kept whole beside the port, because nothing else could restore them."""
    keys = [drop.source for drop in binding.drops if drop.restore.kind == "stored"]
    for move in binding.moves:
        if any(op.restore is not None and op.restore.kind == "stored" for op in move.ops):
            keys += move.sources
    return sorted(keys, key=lambda key: (binding.headers[key].file, binding.headers[key].start))


def _name(index: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{index + 1:05d}-of-{count:05d}.safetensors"


def _position(item: Move | Drop, binding: Binding) -> tuple[str, int]:
    info = binding.headers[item.sources[0] if isinstance(item, Move) else item.source]
    return info.file, info.start


def _float_dtype(dtype: str | None) -> str | None:
    if dtype is None:
        return None
    found = dtype_of(dtype)
    if found is None or found.code not in ("F16", "BF16", "F32", "F64"):
        problem = f"weights cannot be written as {dtype!r}"
        raise PortError(Problem("dtype", problem, "one of: float16, bfloat16, float32"), ExitCode.USAGE)
    return found.code


def _unit(move: Move, binding: Binding, wide: str | None, recipe: Recipe | None, problems: list[Problem]) -> Unit:
    codes = {binding.headers[key].dtype for key in move.sources}
    outputs = []
    for target in move.targets:
        floating = DTYPES[target.dtype].floating
        code = (wide or (codes.copy().pop() if len(codes) == 1 else target.dtype)) if floating else target.dtype
        for source in sorted(codes - {code}):
            if not _castable(source, code):
                problems.append(Problem(move.rule, f"{move.sources[0]!r} is {source}, which cannot be cast to {code}"))
        if move.ops and any(DTYPES[source].bits < 8 for source in codes):
            problems.append(
                Problem(move.rule, f"{move.sources[0]!r} is packed {codes.copy().pop()}: it can only be renamed")
            )
        how = recipe.of(target.key, target.shape, code) if recipe else None
        entries = how.entries(target.key, target.shape, code) if how else [Entry(target.key, code, target.shape)]
        kept = how is not None and recipe is not None and recipe.kept
        outputs.append(Output(target, code, how, tuple(entries), kept))
    return Unit(move, tuple(outputs))


def _castable(source: str, code: str) -> bool:
    one, other = DTYPES[source], DTYPES[code]
    if one.floating:
        return other.floating and one.bits >= 8 and other.bits >= 16
    return one.kind == other.kind and one.kind in ("int", "uint") and other.bits > one.bits


def _dropped_size(drop: Any, binding: Binding, wide: str | None) -> int:
    info = binding.headers[drop.source]
    code = wide if wide and DTYPES[info.dtype].floating else info.dtype
    return prod(info.shape) * DTYPES[code].bits // 8


def _shard(name: str, units: Sequence[Unit], binding: Binding, weights: Mapping[str, str]) -> Shard:
    # Wide elements first keeps every tensor aligned, as the safetensors library writes them.
    ordered = sorted(units, key=lambda unit: -max(DTYPES[o.entries[0].dtype].bits for o in unit.outputs))
    files = sorted({binding.headers[key].file for unit in ordered for key in unit.move.sources})
    body = {
        "portwright": __version__,
        "files": {file: weights.get(file, "") for file in files},
        "units": [_described(unit, binding) for unit in ordered],
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return Shard(name, tuple(ordered), f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def _described(unit: Unit, binding: Binding) -> dict[str, Any]:
    """Everything but the rule's name that the bytes of a unit depend on."""
    move = unit.move.to_json()
    del move["rule"]
    headers = [binding.headers[key] for key in unit.move.sources]
    return {
        **move,
        "from": [[info.file, info.dtype, list(info.shape), info.start] for info in headers],
        "to": [[e.key, e.dtype, list(e.shape)] for output in unit.outputs for e in output.entries],
        "how": [output.how.to_json() if output.how else None for output in unit.outputs],
        **({"kept": True} if any(output.kept for output in unit.outputs) else {}),
    }
