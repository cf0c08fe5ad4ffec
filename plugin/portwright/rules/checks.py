"""What is wrong with one rule or one table, seen without any checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches

from ..errors import Problem
from .pattern import Capture, Row, Tables
from .ruleset import Rule

At = Callable[[tuple[str | int, ...]], str]


def table_problems(name: str, rows: Mapping[str, Row], at: At) -> Iterator[Problem]:
    """A table must be a bijection: rows of one length, no two alike."""
    first = next(iter(rows.values()))
    seen: dict[Row, str] = {}
    for index, row in rows.items():
        if len(row) != len(first):
            hint = "give every row as many columns as the first"
            yield Problem(at((name, index)), f"row {index} has {len(row)} columns, the first has {len(first)}", hint)
        elif row in seen:
            hint = "a table is a bijection: each row must differ"
            yield Problem(at((name, index)), f"rows {seen[row]} and {index} are both {list(row)}", hint)
        seen.setdefault(row, index)


def rule_problems(rule: Rule, tables: Tables, at: At) -> Iterator[Problem]:
    """Everything that binding could never do with this rule, whatever the checkpoint."""
    captures = rule.patterns[0].captures
    for index, pattern in enumerate(rule.patterns[1:], 1):
        if pattern.captures != captures and rule.drop is None:
            hint = "every pattern of a list captures the same names, written alike"
            yield Problem(at(("match", index)), "its captures differ from those of the first pattern", hint)
    if rule.drop is not None:
        if rule.templates or rule.ops:
            yield Problem(at(("drop",)), "a rule that drops has no `to` and no `ops`", "remove one of them")
        return
    if not rule.templates:
        hint = 'add to = "…", or drop = { reason = "…", restore = { … } }'
        yield Problem(at(()), "the rule says neither `to` nor `drop`", hint)
        return
    yield from _flow_problems(rule, captures, at)
    yield from _name_problems(rule, captures, tables, at)
    for name in rule.counts:
        if name not in captures or captures[name].kind != "digits":
            numbers = {other: capture for other, capture in captures.items() if capture.kind == "digits"}
            hint = _known(name, numbers) if numbers else "only a number capture, {x}, can be counted"
            yield Problem(at(("counts", name)), f"{{{name}}} is no number capture of `match`", hint)


def _flow_problems(rule: Rule, captures: Mapping[str, Capture], at: At) -> Iterator[Problem]:
    """Follow how many tensors there are from op to op."""
    listed = len(rule.patterns) > 1  # whether a list of tensors is under way
    made: set[str] = set()
    for index, op in enumerate(rule.ops):
        here, over = at(("ops", index, op.name)), op.arguments.get("over")
        if op.name in ("concat", "stack"):
            if over is not None and over not in captures and over not in made:
                yield Problem(here, f"over = {over!r} is no capture of `match`", _known(over, captures))
            elif over is not None and over in captures and captures[over].kind == "word":
                hint = "words have no order: list them, {x:a|b}, or use numbers"
                yield Problem(here, f"{{{over}:word}} cannot number the parts", hint)
            elif over is None and not listed:
                hint = 'name the capture that numbers the parts: over = "e"; or list several patterns in `match`'
                yield Problem(here, f"{op.name} has one tensor only", hint)
            listed = listed and over is not None
        elif op.name in ("split", "unstack"):
            if op.name == "split" and ("sizes" in op.arguments) == ("parts" in op.arguments):
                yield Problem(
                    here, "split takes either sizes or parts", 'sizes = ["hidden_size", "rest"], or parts = 3'
                )
            if over is not None:
                if over in captures or over in made:
                    yield Problem(here, f"{{{over}}} is captured already", "give the new index its own name")
                made.add(over)
            elif listed:
                yield Problem(here, f"{op.name} of a list of tensors", "write one rule for each tensor of the list")
            listed = listed or over is None
    if listed != (len(rule.templates) > 1):
        problem = (
            "the ops give several tensors, `to` names one" if listed else "the ops give one tensor, `to` names several"
        )
        yield Problem(at(("to",)), problem, "give `to` as many names as there are tensors, in their order")


def _name_problems(rule: Rule, captures: Mapping[str, Capture], tables: Tables, at: At) -> Iterator[Problem]:
    """Every capture must reach `to`, or be folded by an op, so that two keys never become one by accident."""
    unstacked = {op.arguments["over"] for op in rule.ops if op.name == "unstack" and "over" in op.arguments}
    folded = {op.arguments.get("over") for op in rule.ops if op.name in ("concat", "stack")}
    for index, template in enumerate(rule.templates):
        here = at(("to", index) if len(rule.templates) > 1 else ("to",))
        for name, columns in template.names.items():
            if name in folded:
                yield Problem(here, f"{{{name}}} is folded away by an op, so `to` cannot use it", "remove it from `to`")
            elif name not in captures and name not in unstacked:
                yield Problem(here, f"{{{name}}} is not captured by `match`", _known(name, captures))
            else:
                yield from _column_problems(name, columns, captures.get(name), tables, here)
        for name in sorted((set(captures) | unstacked) - folded - set(template.names)):
            hint = f"use {{{name}}} in `to`, or fold it: ops = [{{ stack = {{ axis = 0, over = {name!r} }} }}]"
            yield Problem(
                here, f"{{{name}}} is not used, so several keys would become this one", hint.replace("'", '"')
            )


def _column_problems(
    name: str, columns: set[int | None], capture: Capture | None, tables: Tables, here: str
) -> Iterator[Problem]:
    used = sorted(column for column in columns if column is not None)
    if not used:
        return
    if capture is None or capture.kind != "table":
        hint = "a column such as {x.0} needs a capture of a table: {x:table}"
        yield Problem(here, f"{{{name}.{used[0]}}}: {{{name}}} has no table", hint)
        return
    rows = tables[capture.table]
    width = min(map(len, rows.values()))
    if used[-1] >= width:
        hint = f"columns are {{{name}.0}} to {{{name}.{width - 1}}}"
        yield Problem(here, f"{{{name}.{used[-1]}}}: the rows of table {capture.table!r} have {width} columns", hint)
    elif None not in columns:
        kept: dict[Row, str] = {}
        for index, row in rows.items():
            part = tuple(row[column] for column in used)
            if part in kept:
                hint = "use all columns of the table in `to`"
                yield Problem(
                    here, f"indices {kept[part]} and {index} of table {capture.table!r} become one name", hint
                )
                return
            kept[part] = index


def _known(name: str, captures: Mapping[str, Capture]) -> str:
    close = get_close_matches(name, captures, n=1)
    if close:
        return f"did you mean {{{close[0]}}}?"
    return f"captures: {', '.join(f'{{{n}}}' for n in captures) or 'none'}"
