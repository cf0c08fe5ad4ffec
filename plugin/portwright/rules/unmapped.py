"""Say what binding could not place: keys claimed twice or never, names made twice or unwanted; grouped, with hints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from ..errors import Problem
from ..records import TensorInfo
from .align import Group, group_keys, nearest_keys, suggest_rule
from .moves import Move
from .ops import show
from .ruleset import RuleSet


def claim_problems(claims: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Keys that several rules claim, one problem for each set of rules."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key, wheres in claims.items():
        if len(wheres) > 1:
            groups[tuple(wheres)].append(key)
    hint = "rules have no order: make the patterns exclude each other, for example {p:weight|bias} instead of {p:word}"
    return [Problem(w[-1], f"{count(keys)} claimed by {' and '.join(w)}", hint) for w, keys in groups.items()]


def unmapped_problems(
    keys: Sequence[str],
    rules: RuleSet,
    headers: Mapping[str, TensorInfo],
    free: Collection[str],
    wanted: Collection[str],
) -> Iterator[Problem]:
    """Keys that no rule claims, grouped by the shape of their name, each group with a rule that would claim it.

    `free` are the wanted names that no move makes yet.
    """
    targets = group_keys(sorted(free))
    known = {group.name: len(group.keys) for group in group_keys(wanted)}
    for group in group_keys(keys):
        first = group.keys[0]
        info = headers[first]
        told = f"{count(group.keys)} claimed by no rule: {info.dtype} {show(info.shape)}"
        hint = _unmapped_hint(first, rules)
        if not hint and known.get(group.name, 0) > 1:
            hint = (
                f"the reference has {known[group.name]} such names: is this the config that belongs to the checkpoint?"
            )
        yield Problem(f"{info.file}: {group.name}", told, hint or _suggest(group, targets, headers))


def _unmapped_hint(key: str, rules: RuleSet) -> str:
    for rule in rules.rules:
        for pattern in rule.patterns:
            if key.startswith(pattern.prefix):
                why = pattern.near_miss(key)
                if why:
                    return f"{rule.where} almost matches: {why}"
    return ""


def _suggest(group: Group, targets: Sequence[Group], headers: Mapping[str, TensorInfo]) -> str:
    close = nearest_keys(group.keys[0], [target.keys[0] for target in targets])
    nearest = f"nearest free names: {', '.join(close)}" if close else "no free name is near"
    return f"{nearest}; add {suggest_rule(group, targets, headers)}"


def name_problems(moves: Sequence[Move], wanted: Collection[str], wheres: Mapping[str, str]) -> Iterator[Problem]:
    """Names that two moves make, and names that nobody wants; `wheres` says where each rule stands."""
    makers: dict[str, list[Move]] = defaultdict(list)
    for move in moves:
        for target in move.targets:
            makers[target.key].append(move)
    twice: dict[tuple[str, ...], list[str]] = defaultdict(list)
    unknown: dict[str, list[str]] = defaultdict(list)
    for key, makes in makers.items():
        if len(makes) > 1:
            sources = [f"{wheres.get(move.rule, move.rule)} from {', '.join(move.sources[:2])}" for move in makes]
            twice[tuple(sorted({move.rule for move in makes}))].append(f"{key} ({'; '.join(sources)})")
        if key not in wanted:
            unknown[makes[0].rule].append(key)
    for rules, keys in twice.items():
        hint = "a name is made by one move; where two keys hold the same tensor, drop one with restore = { copy = … }"
        yield Problem(wheres.get(rules[0], rules[0]), f"{_names(len(keys))} made twice: {keys[0]}", hint)
    free = [group.keys[0] for group in group_keys(sorted(set(wanted) - set(makers)))]
    for rule, keys in unknown.items():
        for group in group_keys(keys):
            close = nearest_keys(group.keys[0], free)
            hint = (
                f"did you mean {', '.join(close)}?" if close else "the reference has no name like it that is still free"
            )
            yield Problem(wheres.get(rule, rule), f"{count(group.keys)} no name of the reference", hint)


def count(keys: Sequence[str]) -> str:
    """`'a.weight' is`, or `'a.weight' and 11 more are`."""
    return f"{keys[0]!r} is" if len(keys) == 1 else f"{keys[0]!r} and {len(keys) - 1} more are"


def _names(number: int) -> str:
    return "1 name is" if number == 1 else f"{number} names are"
