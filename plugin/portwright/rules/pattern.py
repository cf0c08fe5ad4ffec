"""Patterns of rules: `{x}` a number, `{x:word}` one dotted part, `{x:a|b}` one of these, `{x:table}` an index table.

A pattern matches a whole key. A pattern that could read some key in two ways is refused when it is loaded, so the
captures of a key are never a matter of luck. That also makes matching linear: two backtracking paths of the compiled
expression that met in one state at one character would be two readings, so each pair is visited at most once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .ambiguity import two_readings

Row = tuple[int | str, ...]
Tables = Mapping[str, Mapping[str, Row]]

_BRACED = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS = "(?:0|[1-9][0-9]*)"


class PatternError(ValueError):
    """A pattern or template that cannot be used, with the likely fix."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


@dataclass(frozen=True)
class Capture:
    """One `{...}` of a pattern; `options` are the texts it may have, empty for digits and words."""

    name: str
    kind: str  # "digits", "word", "choice", "table"
    options: tuple[str, ...] = ()
    table: str = ""

    @property
    def expression(self) -> str:
        if self.kind == "digits":
            return _DIGITS
        if self.kind == "word":
            return r"[^.]+"
        # The longest first only for speed: at most one option can lead to a whole match.
        return "(?:" + "|".join(map(re.escape, sorted(self.options, key=len, reverse=True))) + ")"


@dataclass(frozen=True)
class Pattern:
    """A parsed `match`: literal texts and captures in order."""

    text: str
    parts: tuple[str | Capture, ...]
    expression: re.Pattern[str] = field(repr=False, compare=False)

    @cached_property
    def captures(self) -> dict[str, Capture]:
        return {part.name: part for part in self.parts if isinstance(part, Capture)}

    @cached_property
    def prefix(self) -> str:
        """The literal text that every matching key begins with."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    def match(self, key: str) -> dict[str, str] | None:
        """The text of each capture where the whole key matches, else None."""
        found = self.expression.fullmatch(key)
        return found.groupdict() if found else None

    def near_miss(self, key: str) -> str:
        """Why a key that does not match almost does, or an empty string: a hint for messages."""
        groups = "".join(re.escape(part) if isinstance(part, str) else f"(?P<{part.name}>[^.]+)" for part in self.parts)
        found = re.fullmatch(groups, key)
        if found:
            for name, text in found.groupdict().items():
                capture = self.captures[name]
                if not re.fullmatch(capture.expression, text):
                    return f"{{{name}}} does not allow {text!r}" + (
                        f": table {capture.table!r} has no such index" if capture.kind == "table" else ""
                    )
        words = [part for part in self.parts if isinstance(part, Capture) and part.kind == "word"]
        if len(words) == 1:
            spanning = "".join(
                re.escape(p) if isinstance(p, str) else "(.+)" if p is words[0] else p.expression for p in self.parts
            )
            found = re.fullmatch(spanning, key)
            if found:
                return (
                    f"{{{words[0].name}:word}} would have to span the dots of {found.group(1)!r}: "
                    "write one capture for each part"
                )
        return ""


def parse_pattern(text: str, tables: Tables) -> Pattern:
    """Parse a `match`; raises PatternError, also where some key could be read in two ways."""
    parts: list[str | Capture] = []
    for literal, braced in _pieces(text):
        if literal:
            parts.append(literal)
        if braced is not None:
            parts.append(_capture(braced, tables))
    names = [part.name for part in parts if isinstance(part, Capture)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PatternError(f"{{{twice[0]}}} is captured twice", "give each capture its own name")
    key = two_readings([part if isinstance(part, str) else (part.kind, part.options) for part in parts])
    if key is not None:
        raise PatternError(
            f"ambiguous: the key {key!r} could be read in two ways",
            "put a dot or a fixed text between the captures, or list the words: {x:a|b}",
        )
    source = "".join(re.escape(p) if isinstance(p, str) else f"(?P<{p.name}>{p.expression})" for p in parts)
    return Pattern(text, tuple(parts), re.compile(source))


def _pieces(text: str) -> list[tuple[str, str | None]]:
    """A text cut at its braces: (literal before, inside of the braces or None at the end)."""
    pieces: list[tuple[str, str | None]] = []
    at = 0
    for found in _BRACED.finditer(text):
        pieces.append((text[at : found.start()], found.group(1)))
        at = found.end()
    pieces.append((text[at:], None))
    if any("{" in literal or "}" in literal for literal, _ in pieces):
        raise PatternError("a brace without its partner", "a capture is written {x}, {x:word}, {x:a|b} or {x:table}")
    if not text:
        raise PatternError("the pattern is empty", "a rule matches whole keys")
    return pieces


def _capture(braced: str, tables: Tables) -> Capture:
    name, colon, kind = braced.partition(":")
    if not _NAME.fullmatch(name):
        raise PatternError(f"{{{braced}}}: {name!r} is not a name", "a capture is written {x}, {x:word} or {x:a|b}")
    if not colon:
        return Capture(name, "digits")
    if kind == "word":
        return Capture(name, "word")
    if kind in tables:
        return Capture(name, "table", tuple(tables[kind]), kind)
    options = tuple(kind.split("|"))
    if len(options) == 1:
        known = ", ".join(sorted(tables)) or "none is defined"
        raise PatternError(f"{{{braced}}}: there is no table {kind!r}", f"tables: {known}; or {{x:word}}, {{x:a|b}}")
    if "" in options or len(set(options)) < len(options):
        raise PatternError(f"{{{braced}}}: an option is empty or stands twice", "list each text once: {x:weight|bias}")
    return Capture(name, "choice", options)


@dataclass(frozen=True)
class Template:
    """A parsed `to`: literal texts and references, `{x}` the captured text, `{x.0}` a column of its table's row."""

    text: str
    parts: tuple[str | tuple[str, int | None], ...]

    @property
    def names(self) -> dict[str, set[int | None]]:
        """The captures used, with the columns of each (None: the captured text itself)."""
        used: dict[str, set[int | None]] = {}
        for part in self.parts:
            if not isinstance(part, str):
                used.setdefault(part[0], set()).add(part[1])
        return used

    def render(self, values: Mapping[str, str], rows: Mapping[str, Row]) -> str:
        """The target key, given each capture's text and, for captures of a table, its row."""
        return "".join(
            part if isinstance(part, str) else values[part[0]] if part[1] is None else str(rows[part[0]][part[1]])
            for part in self.parts
        )


def parse_template(text: str) -> Template:
    """Parse a `to`; raises PatternError. Whether its captures exist is the rule's affair."""
    parts: list[str | tuple[str, int | None]] = []
    for literal, braced in _pieces(text):
        if literal:
            parts.append(literal)
        if braced is not None:
            name, dot, column = braced.partition(".")
            if not _NAME.fullmatch(name) or (dot and not re.fullmatch(_DIGITS, column)):
                hint = "a kind belongs into `match`; here write {x}, or {x.0} for a table's column"
                raise PatternError(f"{{{braced}}} cannot stand in `to`", hint)
            parts.append((name, int(column) if dot else None))
    return Template(text, tuple(parts))
