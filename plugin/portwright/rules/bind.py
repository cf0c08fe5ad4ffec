"""Bind rules to a checkpoint's headers: exact source keys to exact reference names, each key claimed exactly once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..records import TensorInfo
from .circuit import LIST, Cell, Circuit, cell, restore_of
from .moves import Binding, Drop, Move, Target
from .ops import OpError
from .pattern import Capture, Row
from .ruleset import Rule, RuleSet
from .sizes import SizeError, Sizes
from .unmapped import claim_problems, name_problems, unmapped_problems

LIBRARY = "library"  # the rule that needs no writing: the checkpoint already has the reference's name


@dataclass(frozen=True)
class Claim:
    """One source key under one rule: which of the rule's patterns it fits, and its captures."""

    key: str
    rule: Rule
    pattern: int
    values: Mapping[str, str]


def bind(
    rules: RuleSet, headers: Mapping[str, TensorInfo], names: Collection[str], config: Mapping[str, Any]
) -> Binding:
    """Freeze the rules against the headers; targets are reference names, `names` those that are wanted.

    A key that no rule claims but that is itself a wanted name keeps it. Raises PortError with every key claimed twice
    or not at all, every name that is not wanted or made twice, and every op that does not fit.
    """
    claims = {key: list(_claims(rules, key)) for key in headers}
    wanted = frozenset(names)
    problems = claim_problems({key: [c.rule.where for c in found] for key, found in claims.items()})
    sizes = Sizes(rules.sizes, config)
    moves: list[Move] = []
    drops: list[Drop] = []
    groups: dict[tuple[int, tuple[tuple[str, str], ...]], list[Claim]] = defaultdict(list)
    for key, found in claims.items():
        if len(found) != 1:
            if not found and key in wanted:
                info = headers[key]
                moves.append(Move(LIBRARY, (key,), (Target(key, info.shape, info.dtype),)))
            continue
        claim = found[0]
        if claim.rule.drop is not None:
            problems += _drop(claim, sizes, drops)
            continue
        kept = sorted(item for item in claim.values.items() if item[0] not in claim.rule.folded)
        groups[id(claim.rule), tuple(kept)].append(claim)
    problems += _bind_groups(groups.values(), rules, headers, sizes, moves)
    problems += _count_problems(claims, sizes)
    problems += name_problems(moves, wanted, {rule.name: rule.where for rule in rules.rules})
    unclaimed = [key for key, found in claims.items() if not found and key not in wanted]
    made = {target.key for move in moves for target in move.targets}
    problems += unmapped_problems(unclaimed, rules, headers, wanted - made, wanted)
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    order = {key: index for index, key in enumerate(headers)}
    return Binding(tuple(sorted(moves, key=lambda move: order[move.sources[0]])), tuple(drops), headers)


class _BindError(ValueError):
    def __init__(self, where: str, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.where, self.problem, self.hint = where, problem, hint


def _bind_groups(
    groups: Iterable[Sequence[Claim]],
    rules: RuleSet,
    headers: Mapping[str, TensorInfo],
    sizes: Sizes,
    moves: list[Move],
) -> list[Problem]:
    """Append the move of each group of keys that belong together; a fault that many groups share is told once."""
    failures: dict[tuple[str, str, str], list[str]] = {}
    for members in groups:
        try:
            moves.append(_move(members, rules, headers, sizes))
        except _BindError as error:
            failures.setdefault((error.where, error.problem, error.hint), []).append(members[0].key)
    return [Problem(at, f"{told} ({_examples(keys)})", hint) for (at, told, hint), keys in failures.items()]


def _claims(rules: RuleSet, key: str) -> Iterator[Claim]:
    for rule in rules.rules:
        for index, pattern in enumerate(rule.patterns):
            if key.startswith(pattern.prefix):
                values = pattern.match(key)
                if values is not None:
                    yield Claim(key, rule, index, values)


def _drop(claim: Claim, sizes: Sizes, drops: list[Drop]) -> Iterator[Problem]:
    drop = claim.rule.drop
    assert drop is not None
    try:
        restore = restore_of(drop.restore, sizes, claim.values)
    except SizeError as error:
        yield Problem(f"{claim.rule.where}: drop.restore", error.problem, error.hint)
        return
    drops.append(Drop(claim.rule.name, claim.key, drop.reason, restore))


def _move(members: Sequence[Claim], rules: RuleSet, headers: Mapping[str, TensorInfo], sizes: Sizes) -> Move:
    rule = members[0].rule
    places = _places(members, rules)
    ordered = sorted(members, key=lambda claim: places[claim.key])
    circuit = Circuit(
        [headers[claim.key].shape for claim in ordered],
        {places[claim.key]: register for register, claim in enumerate(ordered)},
        sizes,
    )
    for spec in rule.ops:
        try:
            circuit.apply(spec)
        except OpError as error:
            raise _BindError(spec.where, str(error)) from None
        except SizeError as error:
            raise _BindError(spec.where, error.problem, error.hint) from None
    captures = rule.patterns[0].captures
    rows = {n: _row(rules, captures[n], text) for n, text in members[0].values.items() if captures[n].table}
    if not circuit.grid:
        raise _BindError(rule.where, "the ops give no tensor at all")
    if len(rule.templates) > 1 and len({dict(place)[LIST] for place in circuit.grid}) != len(rule.templates):
        made = len({dict(place)[LIST] for place in circuit.grid})
        raise _BindError(rule.where, f"the ops give {made} tensors, `to` names {len(rule.templates)}")
    targets = []
    for place, register in circuit.grid.items():
        indices = dict(place)
        template = rule.templates[indices.pop(LIST, 0)]
        values = {**members[0].values, **{name: str(index) for name, index in indices.items()}}
        dtype = headers[ordered[0].key].dtype
        targets.append(Target(template.render(values, rows), circuit.shapes[register], dtype, register))
    return Move(rule.name, tuple(claim.key for claim in ordered), tuple(targets), tuple(circuit.ops))


def _places(members: Sequence[Claim], rules: RuleSet) -> dict[str, Cell]:
    """Where each key of a group stands in the grid; every place must be taken exactly once."""
    rule = members[0].rule
    captures = rule.patterns[0].captures
    labels: dict[str, list[str]] = {}
    for name in rule.folded:
        labels[name] = _labels(captures[name], [claim.values[name] for claim in members], rules, rule.where)
    places: dict[str, Cell] = {}
    for claim in members:
        indices = {name: known.index(claim.values[name]) for name, known in labels.items()}
        if len(rule.patterns) > 1:
            indices[LIST] = claim.pattern
        places[claim.key] = cell(indices)
    size = prod(map(len, labels.values())) * len(rule.patterns)
    if len(set(places.values())) < len(places):
        raise _BindError(rule.where, "two keys take the same part", "make their patterns differ")
    if len(places) < size:
        numbers = ", ".join(f"{len(known)} of {{{name}}}" for name, known in labels.items())
        parts = " x ".join(filter(None, [numbers, f"{len(rule.patterns)} patterns" if len(rule.patterns) > 1 else ""]))
        raise _BindError(
            rule.where,
            f"{size - len(places)} of {size} parts are missing from the checkpoint",
            f"the rule joins {parts}; is a shard of the checkpoint missing?",
        )
    return places


def _labels(capture: Capture, texts: Sequence[str], rules: RuleSet, where: str) -> list[str]:
    """The values of a folded capture in order; numbers must be 0, 1, … without gap."""
    if capture.kind != "digits":
        return (
            sorted(capture.options, key=lambda text: _row(rules, capture, text))
            if capture.table
            else list(capture.options)
        )
    count = max(map(int, texts)) + 1
    missing = sorted(set(range(min(count, len(texts) + 64))) - set(map(int, texts)))
    if missing:
        shown = ", ".join(map(str, missing[:8]))
        raise _BindError(where, f"{{{capture.name}}} counts to {count - 1}, but {shown} is missing")
    return [str(index) for index in range(count)]


def _row(rules: RuleSet, capture: Capture, text: str) -> Row:
    return rules.tables[capture.table][text]


def _count_problems(claims: Mapping[str, Sequence[Claim]], sizes: Sizes) -> Iterator[Problem]:
    """Where a rule says how many values a number capture takes, it must take exactly 0 to that number less one."""
    seen: dict[int, tuple[Rule, dict[str, set[int]]]] = {}
    for found in claims.values():
        for claim in found:
            _, values = seen.setdefault(id(claim.rule), (claim.rule, defaultdict(set)))
            for name in claim.rule.counts:
                values[name].add(int(claim.values[name]))
    for rule, values in seen.values():
        for name, expression in rule.counts.items():
            at = f"{rule.where}: counts.{name}"
            try:
                count = sizes.value(expression)
            except SizeError as error:
                yield Problem(at, error.problem, error.hint)
                continue
            missing = sorted(set(range(min(count, 1 << 20))) - values[name])
            extra = sorted(index for index in values[name] if index >= count)
            if missing or extra:
                told = [
                    f"{word} {', '.join(map(str, items[:8]))}"
                    for word, items in (("without", missing), ("with", extra))
                    if items
                ]
                hint = "is this the checkpoint that belongs to the config?"
                yield Problem(
                    at, f"the config says {count}, the checkpoint has {len(values[name])}, {' and '.join(told)}", hint
                )


def _examples(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"{keys[0]!r}{more}"
