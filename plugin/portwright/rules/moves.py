"""A rule bound to a checkpoint: moves, each from exact source keys to exact target keys, and drops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..records import TensorInfo
from .ops import Op, Restore, Shape


@dataclass(frozen=True)
class Target:
    """What a move produces: `register` is the circuit's number for it, `dtype` the safetensors code at rest."""

    key: str
    shape: Shape
    dtype: str
    register: int = 0


@dataclass(frozen=True)
class Move:
    """Sources are registers 0, 1, …; the ops make new registers; each target names the one it holds."""

    rule: str  # its `match`, or "library" where the checkpoint already has the reference's name
    sources: tuple[str, ...]
    targets: tuple[Target, ...]
    ops: tuple[Op, ...] = ()

    @property
    def renames(self) -> bool:
        """Whether the move changes names only, so that bytes can be copied as they are."""
        return not self.ops

    def to_json(self) -> dict[str, Any]:
        targets = [
            {"key": t.key, "shape": list(t.shape), "dtype": t.dtype, "register": t.register} for t in self.targets
        ]
        return {
            "rule": self.rule,
            "sources": list(self.sources),
            "targets": targets,
            "ops": [op.to_json() for op in self.ops],
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Move:
        targets = tuple(Target(t["key"], tuple(t["shape"]), t["dtype"], t["register"]) for t in body["targets"])
        return Move(body["rule"], tuple(body["sources"]), targets, tuple(map(Op.from_json, body["ops"])))


@dataclass(frozen=True)
class Drop:
    """A source tensor that is not ported, why, and how export brings it back."""

    rule: str
    source: str
    reason: str
    restore: Restore

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.rule, "source": self.source, "reason": self.reason, "restore": self.restore.to_json()}

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Drop:
        return Drop(body["rule"], body["source"], body["reason"], Restore(**body["restore"]))


@dataclass(frozen=True)
class Binding:
    """All moves and drops of one component, with the headers they were bound to."""

    moves: tuple[Move, ...]
    drops: tuple[Drop, ...]
    headers: Mapping[str, TensorInfo] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The content of moves.json."""
        sources = {
            key: {"dtype": info.dtype, "shape": list(info.shape), "file": info.file, "offsets": [info.start, info.end]}
            | ({"packed": info.packed} if info.packed else {})
            for key, info in self.headers.items()
        }
        return {
            "schema": 1,
            "sources": sources,
            "moves": [move.to_json() for move in self.moves],
            "drops": [drop.to_json() for drop in self.drops],
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Binding:
        headers = {
            key: TensorInfo(
                key, info["dtype"], tuple(info["shape"]), info["file"], *_span(info), info.get("packed", "")
            )
            for key, info in body["sources"].items()
        }
        moves = tuple(map(Move.from_json, body["moves"]))
        return Binding(moves, tuple(map(Drop.from_json, body["drops"])), headers)


def _span(info: Mapping[str, Any]) -> tuple[int, int]:
    start, end = info["offsets"]
    return start, end
