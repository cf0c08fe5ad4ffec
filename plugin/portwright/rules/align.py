"""Find the names that were probably meant: nearest keys, groups of keys of one shape of name, and a rule to suggest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import prod

from ..records import TensorInfo

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


def suggest_rule(group: Group, targets: Sequence[Group], headers: Mapping[str, TensorInfo]) -> str:
    """A rule that would claim a group of source keys for the free names most like it, else one that drops it."""
    best, score = None, 0.45
    for target in targets:
        alike = 1.0 if len(target.keys) == len(group.keys) else 0.6
        value = _similarity(group.name, target.name) * alike
        if value > score and target.name.count("*") == group.name.count("*"):
            best, score = target, value
    if best is not None:
        return f'[[rule]] match = "{_pattern(group)}" to = "{_pattern(best)}"'
    restore = _restore(headers[group.keys[0]], headers)
    return f'[[rule]] match = "{_pattern(group)}" drop = {{ reason = "…", restore = {{ {restore} }} }}'


def _restore(info: TensorInfo, headers: Mapping[str, TensorInfo]) -> str:
    """How a dropped tensor would probably come back: an index buffer, the copy of its only likeness, or stored."""
    if info.shape and info.dtype in ("I64", "I32") and prod(info.shape) == info.shape[-1]:
        return f"arange = {info.shape[-1]}"
    like = [key for key, other in headers.items() if (other.shape, other.dtype) == (info.shape, info.dtype)]
    if len(info.shape) > 1 and len(like) == 2:
        return f'copy = "{next(key for key in like if key != info.key)}"'
    return "stored = true"


def _pattern(group: Group) -> str:
    """The pattern that claims a group: its numbers become captures."""
    names = (f"n{index}" for index in range(group.name.count("*")))
    return _STAR.sub(lambda _: f"{{{next(names)}}}", group.name)
