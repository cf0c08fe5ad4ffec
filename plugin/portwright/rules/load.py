"""Read the rules files of a Skill: every problem of every file at once, each with its line and likely fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..schema import check, where
from ..tomltext import decode, parse
from .checks import rule_problems, table_problems
from .pattern import Pattern, PatternError, Template, parse_pattern, parse_template
from .ruleset import DropSpec, OpSpec, RestoreSpec, Rule, RuleSet
from .sizes import SizeError, parse_size


def load_rules(folder: Path) -> tuple[RuleSet, ...]:
    """The rule sets of a Skill's folder: `rules.toml` and `rules-<layout>.toml`; raises PortError with all problems."""
    rulesets: list[RuleSet] = []
    problems: list[Problem] = []
    for path in sorted([*folder.glob("rules.toml"), *folder.glob("rules-*.toml")]):
        try:
            rulesets.append(parse_rules(path.read_bytes(), path.name))
        except PortError as error:
            problems += error.problems
        except OSError as error:
            problems.append(Problem(path.name, f"cannot be read: {error.strerror}"))
    layouts: dict[str, str] = {}
    for rules in rulesets:
        if rules.layout in layouts:
            hint = "give each file its own layout"
            problems.append(
                Problem(rules.file, f"layout {rules.layout!r} is also that of {layouts[rules.layout]}", hint)
            )
        layouts[rules.layout] = rules.file
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return tuple(rulesets)


def parse_rules(content: bytes, file: str) -> RuleSet:
    """Parse one rules file; `file` is its name in messages. Raises PortError with every problem."""
    text = decode(content, file)
    data = parse(text, file)
    problems = check(data, "rules", file, text)
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    rules = _Reader(data, file, text).read(problems)
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return rules


class _Reader:
    """Turns data that fits the schema into frozen values, collecting what the schema cannot see."""

    def __init__(self, data: Mapping[str, Any], file: str, text: str) -> None:
        self.data = data
        self.file = file
        self.text = text
        self.problems: list[Problem] = []
        self.tables = {
            name: {index: tuple(row) if isinstance(row, list) else (row,) for index, row in rows.items()}
            for name, rows in data.get("table", {}).items()
        }

    def read(self, problems: list[Problem]) -> RuleSet:
        self.problems = problems
        for name, rows in self.tables.items():
            problems += table_problems(name, rows, lambda path: self.at("table", *path))
        for name, size in self.data.get("sizes", {}).items():
            self._size(size, "sizes", name)
        detect = [self._pattern(text, "detect", i) for i, text in enumerate(self.data.get("detect", []))]
        rules = [self._rule(body, i) for i, body in enumerate(self.data.get("rule", []))]
        return RuleSet(
            self.file,
            self.data.get("layout", "library"),
            tuple(pattern for pattern in detect if pattern is not None),
            self.tables,
            self.data.get("sizes", {}),
            tuple(rule for rule in rules if rule is not None),
        )

    def at(self, *path: str | int) -> str:
        return where(self.file, path, self.text)

    def _rule(self, body: Mapping[str, Any], index: int) -> Rule | None:
        before = len(self.problems)
        patterns = [self._pattern(t, *p) for t, p in _texts(body, "match", index)]
        templates = [self._template(t, *p) for t, p in _texts(body, "to", index)]
        ops = [self._op(op, index, i) for i, op in enumerate(body.get("ops", []))]
        for name, size in body.get("counts", {}).items():
            self._size(size, "rule", index, "counts", name)
        drop = None
        if "drop" in body:
            restore = self._restore(body["drop"]["restore"], "rule", index, "drop", "restore")
            drop = DropSpec(body["drop"]["reason"], restore)
        if len(self.problems) > before:
            return None
        rule = Rule(
            self.at("rule", index).split(": ")[0],
            tuple(p for p in patterns if p is not None),
            tuple(t for t in templates if t is not None),
            tuple(ops),
            drop,
            body.get("counts", {}),
        )
        self.problems += rule_problems(rule, self.tables, lambda path: self.at("rule", index, *path))
        return rule

    def _pattern(self, text: str, *path: str | int) -> Pattern | None:
        try:
            return parse_pattern(text, self.tables)
        except PatternError as error:
            self.problems.append(Problem(self.at(*path), error.problem, error.hint))
            return None

    def _template(self, text: str, *path: str | int) -> Template | None:
        try:
            return parse_template(text)
        except PatternError as error:
            self.problems.append(Problem(self.at(*path), error.problem, error.hint))
            return None

    def _size(self, size: str | int, *path: str | int) -> None:
        if isinstance(size, int) or size == "rest":
            return
        try:
            parse_size(size)
        except SizeError as error:
            self.problems.append(Problem(self.at(*path), error.problem, error.hint))

    def _op(self, body: Mapping[str, Any], rule: int, index: int) -> OpSpec:
        ((name, arguments),) = body.items()
        path: tuple[str | int, ...] = ("rule", rule, "ops", index, name)
        if name in ("transpose", "reshape"):
            arguments = {"perm" if name == "transpose" else "shape": arguments}
        for key in ("sizes", "shape"):
            for i, size in enumerate(arguments.get(key, [])):
                self._size(size, *path, i)
        for key in ("parts", "start", "stop"):
            if key in arguments:
                self._size(arguments[key], *path, key)
        if "restore" in arguments:
            arguments = {**arguments, "restore": self._restore(arguments["restore"], *path, "restore")}
        return OpSpec(name, arguments, self.at(*path))

    def _restore(self, body: Mapping[str, Any], *path: str | int) -> RestoreSpec:
        ((kind, value),) = body.items()
        if kind == "arange":
            self._size(value, *path)
        if kind == "copy":
            self._template(value, *path)
        return RestoreSpec(kind, value)


def _texts(body: Mapping[str, Any], key: str, rule: int) -> Sequence[tuple[str, tuple[str | int, ...]]]:
    value = body.get(key, [])
    if isinstance(value, str):
        return [(value, ("rule", rule, key))]
    return [(text, ("rule", rule, key, i)) for i, text in enumerate(value)]
