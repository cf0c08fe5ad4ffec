"""Decide whether some key can be read by a pattern in two ways, and give such a key.

The pattern becomes an automaton with one state for each character position; two copies of it run side by side over
the same text, and the pattern is ambiguous exactly if they can both accept after having been apart.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

Part = str | tuple[str, tuple[str, ...]]  # literal text, or (kind, options) of a capture
_DIGIT = frozenset("0123456789")
_ANY = None  # every character but the dot


class _Automaton:
    def __init__(self, parts: Sequence[Part]) -> None:
        self.accepts: list[frozenset[str] | None] = []  # the characters of each position
        self.follow: dict[int, list[int]] = {-1: []}  # -1 is the start
        exits = [-1]
        for part in parts:
            first, exits_of_part = self._fragment(part)
            for position in exits:
                self.follow[position].extend(first)
            exits = exits_of_part
        self.final = frozenset(exits)

    def _fragment(self, part: Part) -> tuple[list[int], list[int]]:
        if isinstance(part, str):
            return self._chain(part)
        kind, options = part
        if kind == "word":
            word = self._position(_ANY)
            self.follow[word].append(word)
            return [word], [word]
        if kind == "digits":
            zero, lead, rest = (self._position(_DIGIT & set(text)) for text in ("0", "123456789", "0123456789"))
            self.follow[lead].append(rest)
            self.follow[rest].append(rest)
            return [zero, lead], [zero, lead, rest]
        chains = [self._chain(option) for option in options]
        return [p for first, _ in chains for p in first], [p for _, last in chains for p in last]

    def _chain(self, text: str) -> tuple[list[int], list[int]]:
        positions = [self._position(frozenset(char)) for char in text]
        for here, there in itertools.pairwise(positions):
            self.follow[here].append(there)
        return positions[:1], positions[-1:]

    def _position(self, accepted: frozenset[str] | None) -> int:
        self.accepts.append(accepted)
        self.follow[len(self.accepts) - 1] = []
        return len(self.accepts) - 1

    def common(self, one: int, other: int) -> str | None:
        """A character that both positions accept, or None."""
        first, second = self.accepts[one], self.accepts[other]
        if first is None:
            first, second = second, first
        if first is None:
            return "a"
        shared = first - {"."} if second is None else first & second
        return min(shared) if shared else None


def two_readings(parts: Sequence[Part]) -> str | None:
    """A key that the pattern reads in two ways, or None where there is none."""
    automaton = _Automaton(parts)
    start = (-1, -1, False)
    came: dict[tuple[int, int, bool], tuple[tuple[int, int, bool], str]] = {}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        one, other, apart = here
        if apart and one in automaton.final and other in automaton.final:
            return _text(here, came)
        for first in automaton.follow[one]:
            for second in automaton.follow[other]:
                char = automaton.common(first, second)
                there = (min(first, second), max(first, second), apart or first != second)
                if char is not None and there not in came:
                    came[there] = (here, char)
                    queue.append(there)
    return None


def _text(state: tuple[int, int, bool], came: dict[tuple[int, int, bool], tuple[tuple[int, int, bool], str]]) -> str:
    chars: list[str] = []
    while state in came:
        state, char = came[state]
        chars.append(char)
    return "".join(reversed(chars))
