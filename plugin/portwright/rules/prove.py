"""Prove from headers alone that the moves lose, double and misshape nothing, before any weight is read.

Four things are shown: every source key is claimed once; every parameter is made once, with the declared shape and
kind of dtype; each circuit takes every register exactly once; and no element is unaccounted for. Since each op but
slice is a bijection of elements at any size, the third makes the whole a bijection: nothing need be materialised.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import prod

from ..dtypes import DTYPES
from ..errors import ExitCode, PortError, Problem
from ..records import TensorInfo
from .align import group_keys, nearest_keys
from .moves import Binding, Drop, Move
from .ops import OpError, Shape, infer, show
from .portmap import Portmap


@dataclass(frozen=True)
class Proof:
    """What was proved: how many keys, parameters and elements, and how many sources each rule moved."""

    sources: int
    targets: int
    dropped: int  # source keys
    elements: int  # that arrive
    dropped_elements: int  # by drop and slice, each with its restore
    rules: Mapping[str, int]


def prove(binding: Binding, headers: Mapping[str, TensorInfo], portmap: Portmap) -> Proof:
    """Prove composed moves against headers and the generated code's parameters; raises PortError with all problems."""
    problems = [*_source_problems(binding, headers), *_target_problems(binding, portmap)]
    elements = cut = 0
    for move in binding.moves:
        faults = list(_move_problems(move, headers))
        problems += faults
        if not faults:
            arrived = sum(prod(target.shape) for target in move.targets)
            elements += arrived
            cut += sum(prod(headers[key].shape) for key in move.sources) - arrived
    for drop in binding.drops:
        problems += _drop_problems(drop, binding, headers)
        cut += prod(headers[drop.source].shape) if drop.source in headers else 0
    total = sum(prod(info.shape) for info in headers.values())
    if not problems and elements + cut != total:
        problems.append(Problem("moves", f"{total} elements leave, {elements} arrive and {cut} are dropped"))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    rules = Counter(move.rule for move in binding.moves for _ in move.sources)
    rules.update(drop.rule for drop in binding.drops)
    targets = sum(len(move.targets) for move in binding.moves)
    return Proof(len(headers), targets, len(binding.drops), elements, cut, dict(sorted(rules.items())))


def _source_problems(binding: Binding, headers: Mapping[str, TensorInfo]) -> Iterator[Problem]:
    taken = Counter(key for move in binding.moves for key in move.sources)
    taken.update(drop.source for drop in binding.drops)
    for group in group_keys(key for key in headers if key not in taken):
        close = nearest_keys(group.keys[0], taken)
        hint = f"nearest claimed key: {close[0]}" if close else ""
        yield Problem(headers[group.keys[0]].file, f"no move takes {_some(group.keys)}", hint)
    for key in sorted(key for key, times in taken.items() if times > 1):
        yield Problem(key, f"{taken[key]} moves take this tensor", "each source key is claimed exactly once")
    for group in group_keys(key for key in taken if key not in headers):
        close = nearest_keys(group.keys[0], headers)
        hint = f"nearest keys: {', '.join(close)}" if close else "bind the rules to this checkpoint again"
        yield Problem("moves", f"the checkpoint has no {_some(group.keys)}", hint)


def _target_problems(binding: Binding, portmap: Portmap) -> Iterator[Problem]:
    makers: dict[str, list[Move]] = defaultdict(list)
    for move in binding.moves:
        for target in move.targets:
            makers[target.key].append(move)
    sources = {name for move in binding.moves for name in move.sources}
    for group in group_keys(key for key in portmap.params if key not in makers):
        names = portmap.params[group.keys[0]].sources
        close = nearest_keys(names[0], [*sources, *(drop.source for drop in binding.drops)])
        near = f"; the nearest keys of the checkpoint: {', '.join(close)}" if close else ""
        hint = f"it is made from {' and '.join(names)}, which no rule gives{near}"
        yield Problem(f"portmap.json: params.{group.keys[0]}", f"no move makes {_some(group.keys)}", hint)
    for key, makes in makers.items():
        if len(makes) > 1:
            rules = " and ".join(move.rule for move in makes)
            yield Problem(f"portmap.json: params.{key}", f"{len(makes)} moves make it: {rules}", "keep one of them")
        param = portmap.params.get(key)
        shape = next(target.shape for target in makes[0].targets if target.key == key)
        if param is not None and param.shape is not None and param.shape != shape:
            found = f"{makes[0].rule}: {', '.join(makes[0].sources[:3])}"
            yield Problem(
                found,
                f"{key!r} gets shape {show(shape)}, the module declares {show(param.shape)}",
                _turn(shape, param.shape),
            )
        if param is None:
            close = nearest_keys(key, portmap.params)
            hint = f"did you mean {', '.join(close)}?" if close else "drop it, with a reason and a restore"
            yield Problem(makes[0].rule, f"the generated module has no parameter {key!r}", hint)


def _turn(shape: Shape, declared: Shape) -> str:
    """The op that would mend a shape, where one permutation or a reshape does."""
    perms = [perm for perm in permutations(range(len(shape))) if tuple(shape[i] for i in perm) == declared]
    if len(shape) <= 5 and perms and shape != declared:
        return f"ops = [{{ transpose = {list(perms[0])} }}]" + (" or another order" if len(perms) > 1 else "")
    if prod(shape) == prod(declared):
        return f"ops = [{{ reshape = {list(declared)} }}] if only the grouping differs"
    return "is this the checkpoint that belongs to the config?"


def _move_problems(move: Move, headers: Mapping[str, TensorInfo]) -> Iterator[Problem]:
    """One circuit: registers used once each, shapes that fit."""
    if any(key not in headers for key in move.sources):
        return
    shapes = {index: headers[key].shape for index, key in enumerate(move.sources)}
    uses = Counter(register for op in move.ops for register in op.inputs)
    uses.update(target.register for target in move.targets)
    for op in move.ops:
        try:
            made = infer(op, [shapes[register] for register in op.inputs])
        except KeyError as error:
            yield Problem(move.rule, f"{op.name} takes register {error.args[0]}, which nothing has made yet")
            return
        except OpError as error:
            yield Problem(move.rule, f"{error} ({move.sources[0]!r})")
            return
        if any(register in shapes for register in op.outputs) or len(set(op.outputs)) < len(op.outputs):
            yield Problem(move.rule, f"{op.name} makes a register that exists already")
            return
        shapes |= dict(zip(op.outputs, made, strict=True))
    for register in sorted({*shapes, *uses}):
        if uses[register] != 1 or register not in shapes:
            word = (
                "lost" if uses[register] == 0 else f"used {uses[register]} times" if register in shapes else "unknown"
            )
            yield Problem(
                move.rule, f"register {register} of {move.sources[0]!r} is {word}", "each is used exactly once"
            )
            return
    kinds = {DTYPES[headers[key].dtype].kind for key in move.sources}
    for target in move.targets:
        if shapes[target.register] != target.shape:
            yield Problem(
                move.rule, f"{target.key!r} would have shape {show(shapes[target.register])}, not {show(target.shape)}"
            )
        if kinds != {DTYPES[target.dtype].kind}:
            found = ", ".join(sorted({headers[key].dtype for key in move.sources}))
            yield Problem(move.rule, f"{target.key!r} is declared {target.dtype}, the checkpoint has {found}")


def _drop_problems(drop: Drop, binding: Binding, headers: Mapping[str, TensorInfo]) -> Iterator[Problem]:
    info = headers.get(drop.source)
    if info is None:
        return
    where, kind, value = f"{drop.rule}: drop.restore", drop.restore.kind, drop.restore.value
    if kind == "arange" and (not info.shape or info.shape[-1] != value or DTYPES[info.dtype].kind == "bool"):
        yield Problem(where, f"{drop.source!r} has shape {show(info.shape)}, which arange({value}) cannot restore")
    if kind == "copy":
        other = headers.get(str(value))
        if other is None or (other.shape, other.dtype) != (info.shape, info.dtype):
            close = ", ".join(nearest_keys(str(value), headers))
            found = (
                f"{other.dtype} {show(other.shape)}" if other else f"not in the checkpoint; nearest: {close or 'none'}"
            )
            yield Problem(where, f"{drop.source!r} cannot be copied from {value!r}, which is {found}")
        elif any(other_drop.source == value for other_drop in binding.drops):
            yield Problem(where, f"{drop.source!r} cannot be copied from {value!r}, which is dropped too")


def _some(keys: Sequence[str]) -> str:
    return repr(keys[0]) if len(keys) == 1 else f"{keys[0]!r} and {len(keys) - 1} more"
