"""Keep a source's own quantization: its blocks become MLX's packed weights, scales and biases, not rounded again.

A move may reorder, join or cut whole rows of blocks. So it is run three times, on the codes, the scales and the biases
of its sources, each with as many columns as it has; a move that reaches into rows cannot be kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from math import prod
from typing import Protocol

from ..errors import ExitCode, PortError, Problem
from ..gguf.blocks import GROUP, PLANES, REPACKS, plane
from ..records import TensorInfo
from ..rules.moves import Binding, Move
from ..rules.ops import Op, Shape, infer
from ..tensorfile import TensorFile
from .circuits import run as run_circuit
from .lazy import Array, Decoded, Lazy, Run, raw_blocks, stream
from .quantize import Quantization, Recipe


class Opened(Protocol):
    """The source files of a port."""

    def file(self, key: str) -> TensorFile:
        """The file that holds a source tensor."""


def kept_recipe(binding: Binding, keep: Sequence[str]) -> Recipe:
    """The quantization that the source has itself, target by target; the commonest is the default.

    Targets that match a pattern of `keep` are dequantized, and so is what the source does not hold in blocks. Raises
    PortError with every target whose blocks MLX has no form for, or whose move reaches into rows.
    """
    problems: list[Problem] = []
    chosen: dict[str, Quantization] = {}
    sizes: Counter[Quantization] = Counter()
    for move in binding.moves:
        types = {binding.headers[key].packed for key in move.sources}
        for target in move.targets:
            path = target.key.rpartition(".")[0]
            if types == {""} or any(fnmatchcase(path, pattern) for pattern in keep):
                continue
            fault = _fault(move, types, target.key)
            if fault:
                hint = f'add "{path}" to keep in [quantize], and it is dequantized'
                problems.append(Problem(f"{move.sources[0]} -> {target.key}", fault, hint))
                continue
            how = Quantization(REPACKS[min(types)].bits, GROUP, "affine")
            chosen[path] = how
            sizes[how] += prod(target.shape)
    if not problems and not chosen:
        hint = "give bits and group_size instead of source = true"
        problems.append(Problem("quantize.source", "the source holds no quantized weight to keep", hint))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    layers = tuple(sorted(chosen.items()))
    return Recipe(sizes.most_common(1)[0][0], layers=layers, modules=frozenset(chosen), kept=True)


def _fault(move: Move, types: set[str], key: str) -> str:
    unknown = sorted(types - set(REPACKS))
    if unknown:
        return f"MLX has no packed form for blocks of {unknown[0] or 'plain numbers beside quantized ones'}"
    if len(types) > 1:
        return f"its parts are quantized in different ways: {', '.join(sorted(types))}"
    if not key.endswith(".weight"):
        return "only a module's weight can be quantized"
    if not keeps_rows(move):
        return "the rules or the code's layout reach into rows, where the blocks lie"
    return ""


def keeps_rows(move: Move) -> bool:
    """Whether every op leaves the last axis whole and last."""
    return all(map(_keeps_rows, move.ops))


def _keeps_rows(op: Op) -> bool:
    match op.name:
        case "transpose":
            return op.perm[-1] == len(op.perm) - 1
        case "reshape":
            return bool(op.before and op.shape) and op.before[-1] == op.shape[-1]
        case "concat" | "split" | "stack" | "unstack":
            return op.axis == 0
    return False


def with_columns(move: Move, shapes: Sequence[Shape], columns: int) -> Move:
    """A move that keeps rows, for sources whose rows have `columns` elements instead of their own."""
    known = dict(enumerate(shapes))
    ops = []
    for op in move.ops:
        if op.name == "reshape":
            before, shape = (*op.before[:-1], columns), (*op.shape[:-1], columns)
            op = replace(op, before=before, shape=shape)
        made = infer(op, [known[register] for register in op.inputs])
        known.update(zip(op.outputs, made, strict=True))
        ops.append(op)
    targets = tuple(replace(target, shape=known[target.register]) for target in move.targets)
    return replace(move, ops=tuple(ops), targets=targets)


def kept(move: Move, key: str, opened: Opened) -> Iterator[Array]:
    """The bytes of the target `key` of a move: packed weight, scales and biases, in this order."""
    for name in PLANES:
        leaves = {source: _plane(opened.file(source), source, name) for source in move.sources}
        shapes = [leaf.shape for leaf in leaves.values()]
        made: Lazy = run_circuit(with_columns(move, shapes, shapes[0][-1]), leaves.__getitem__)[key]
        for block in stream(made, made.code):
            if not isinstance(block, Run):  # what is decoded is nowhere in the file as it is written
                yield block


def _plane(file: TensorFile, key: str, name: str) -> Decoded:
    info: TensorInfo = file.header.tensors[key]
    columns = info.shape[-1] * REPACKS[info.packed].bits // 32 if name == "codes" else info.shape[-1] // GROUP
    decode = partial(plane, packed=info.packed, name=name)
    code = "U32" if name == "codes" else "F32"
    return Decoded(raw_blocks(file, key), code, (*info.shape[:-1], columns), decode)
