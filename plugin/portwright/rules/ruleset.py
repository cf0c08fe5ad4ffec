"""What a rules file holds once it is read: frozen values, every pattern parsed, every line known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..errors import ExitCode, PortError, Problem
from .pattern import Pattern, Row, Template


@dataclass(frozen=True)
class OpSpec:
    """An op as written: sizes may still be names."""

    name: str
    arguments: Mapping[str, Any]
    where: str  # "rules.toml:12: rule.0.ops.1"


@dataclass(frozen=True)
class RestoreSpec:
    """A `restore` as written: `value` may still be an expression or a template."""

    kind: str
    value: Any


@dataclass(frozen=True)
class DropSpec:
    """A `drop` as written."""

    reason: str
    restore: RestoreSpec


@dataclass(frozen=True)
class Rule:
    """One `[[rule]]`; messages call it by `where`, moves by `name`, which an edit of other lines leaves alone."""

    where: str  # "rules.toml:12"
    patterns: tuple[Pattern, ...]
    templates: tuple[Template, ...] = ()
    ops: tuple[OpSpec, ...] = ()
    drop: DropSpec | None = None
    counts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " + ".join(pattern.text for pattern in self.patterns)

    @cached_property
    def folded(self) -> tuple[str, ...]:
        """The captures that a stack or concat folds away, in the order of the ops."""
        over = (op.arguments.get("over") for op in self.ops if op.name in ("stack", "concat"))
        return tuple(name for name in over if name in self.patterns[0].captures)


@dataclass(frozen=True)
class RuleSet:
    """One rules file: a layout, how it is recognised, its tables and sizes, its rules."""

    file: str = ""
    layout: str = "library"
    detect: tuple[Pattern, ...] = ()
    tables: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)
    sizes: Mapping[str, str | int] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


def choose_layout(rulesets: Sequence[RuleSet], keys: Iterable[str]) -> RuleSet:
    """The rules for a checkpoint with these keys: those that detect it, else the fallback without `detect`.

    Without any rules file the checkpoint must have the reference's own names. Raises PortError where two layouts are
    detected, two fallbacks exist, or nothing fits.
    """
    names = list(keys)
    found = [rules for rules in rulesets if rules.detect and all(_present(p, names) for p in rules.detect)]
    fallback = [rules for rules in rulesets if not rules.detect]
    chosen = found or fallback
    if len(chosen) > 1:
        both = " and ".join(f"{rules.layout} ({rules.file})" for rules in chosen)
        problem = f"two layouts fit this checkpoint: {both}" if found else f"two files have no detect: {both}"
        raise PortError(
            Problem(chosen[1].file, problem, "give `detect` a key that only its own layout has"), ExitCode.USAGE
        )
    if chosen:
        return chosen[0]
    if rulesets:
        known = "; ".join(f"{rules.layout} needs {', '.join(p.text for p in rules.detect)}" for rules in rulesets)
        hint = "add a rules-<layout>.toml for it, or one without `detect`"
        raise PortError(Problem(rulesets[0].file, f"no layout fits this checkpoint: {known}", hint), ExitCode.USAGE)
    return RuleSet()


def _present(pattern: Pattern, keys: Sequence[str]) -> bool:
    return any(pattern.match(key) is not None for key in keys)
