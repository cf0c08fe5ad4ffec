"""Find the names that were probably meant: nearest keys, groups of keys of one shape of name, and a rule to suggest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_NUMBER = re.compile(r"(?<![0-9A-Za-z_])(?:0|[1-9][0-9]*)(?![0-9A-Za-z_])")
_STAR = re.compile(r"\*")
_WORDS = re.compile(r"[A-Za-z]+|[0-9]+")


def shape_of_name(key: str) -> str:
    """A key with its numbers left out: encoder.layer.*.output.dense.weight."""
    return _NUMBER.sub("*", key)


def _similarity(one: str, other: str) -> float:
    """Between 0 and 1: shared words, which survive reordering, and shared runs of characters."""
    first, second = set(_WORDS.findall(one)), set(_WORDS.findall(other))
    words = 2 * len(first & second) / max(1, len(first) + len(second))
    return (words + SequenceMatcher(None, one, other, autojunk=False).ratio()) / 2


def nearest_keys(key: str, candidates: Iterable[str], count: int = 3, least: float = 0.5) -> list[str]:
    """The candidates that look most like `key`, best first; those that share no word are not looked at closely."""
    wanted = set(_WORDS.findall(key))
    ranked = sorted(candidates, key=lambda c: (-len(wanted & set(_WORDS.findall(c))), abs(len(c) - len(key)), c))
    scored = [(-_similarity(key, candidate), candidate) for candidate in ranked[:24]]
    return [candidate for score, candidate in sorted(scored)[:count] if -score >= least]


@dataclass(frozen=True)
class Group:
    """Keys that differ in their numbers only."""

    name: str  # "encoder.layer.*.weight"
    keys: tuple[str, ...]


def group_keys(keys: Iterable[str]) -> list[Group]:
    """Keys grouped by the shape of their name, the largest group first."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(shape_of_name(key), []).append(key)
    return sorted((Group(name, tuple(found)) for name, found in groups.items()), key=lambda g: (-len(g.keys), g.name))


def suggest_rule(group: Group, targets: Sequence[Group], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A rule that would claim a group of source keys, for the group of free targets that is most like it, else a drop.

    `shapes` holds those of source and target keys; a target of another shape is suggested only with the permutation
    that explains it.
    """
    best, score = None, 0.35
    for target in targets:
        same = len(target.keys) == len(group.keys)
        fits = sorted(shapes.get(group.keys[0], ())) == sorted(shapes.get(target.keys[0], ()))
        value = _similarity(group.name, target.name) * (1.0 if same else 0.6) * (1.0 if fits else 0.5)
        if value > score and target.name.count("*") == group.name.count("*"):
            best, score = target, value
    match = _pattern(group)
    if best is None:
        return f'[[rule]] match = "{match}" drop = {{ reason = "…", restore = {{ stored = true }} }}'
    given, wanted = shapes.get(group.keys[0], ()), shapes.get(best.keys[0], ())
    ops = " ops = [{ transpose = [1, 0] }]" if len(given) == 2 and given != wanted and given[::-1] == wanted else ""
    return f'[[rule]] match = "{match}" to = "{_pattern(best)}"{ops}'


def _pattern(group: Group) -> str:
    """The pattern that claims a group: its numbers become captures."""
    names = (f"n{index}" for index in range(group.name.count("*")))
    return _STAR.sub(lambda _: f"{{{next(names)}}}", group.name)
