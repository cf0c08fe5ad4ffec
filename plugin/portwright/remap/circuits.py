"""Run a move's circuit on the tensors of open files, computing nothing until it is written."""

from __future__ import annotations

from collections.abc import Callable

from ..rules.moves import Move
from ..tensorwriter import TensorWriter
from .lazy import Lazy, Run, apply, stream


def run(move: Move, source: Callable[[str], Lazy]) -> dict[str, Lazy]:
    """The targets of a move by key; `source` opens a source tensor by its key."""
    registers: dict[int, Lazy] = {index: source(key) for index, key in enumerate(move.sources)}
    for op in move.ops:
        made = apply(op, [registers.pop(register) for register in op.inputs])
        registers.update(zip(op.outputs, made, strict=True))
    return {target.key: registers[target.register] for target in move.targets}


def write(writer: TensorWriter, lazy: Lazy, code: str, on_mapped: Callable[[int], None]) -> None:
    """Append a tensor to a file as dtype `code`; `on_mapped` hears of the bytes that came through mapped pages."""
    for piece in stream(lazy, code):
        if isinstance(piece, Run):
            writer.copy(piece.file.fileno(), piece.start, piece.stop)
        elif piece.size:
            writer.write(piece)
            on_mapped(piece.nbytes)
