"""Turn a move around: the circuit is run backwards, each op replaced by the one that undoes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..records import TensorInfo
from .moves import Move, Target
from .ops import Op, inverse


def invert(move: Move, headers: Mapping[str, TensorInfo]) -> Move:
    """The move that gives back the sources from the targets; no arithmetic, so bit for bit."""
    registers = {target.register: index for index, target in enumerate(move.targets)}
    number = len(registers)
    ops: list[Op] = []

    def of(register: int) -> int:
        nonlocal number
        if register not in registers:
            registers[register] = number
            number += 1
        return registers[register]

    for op in reversed(move.ops):
        back = inverse(op)
        ops.append(_numbered(back, [of(r) for r in back.inputs], [of(r) for r in back.outputs]))
    targets = tuple(
        Target(key, headers[key].shape, headers[key].dtype, of(index)) for index, key in enumerate(move.sources)
    )
    return Move(move.rule, tuple(target.key for target in move.targets), targets, tuple(ops))


def _numbered(op: Op, inputs: Sequence[int], outputs: Sequence[int]) -> Op:
    """The same op on other registers."""
    return replace(op, inputs=tuple(inputs), outputs=tuple(outputs))
