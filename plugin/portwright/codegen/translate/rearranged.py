"""Rows for einops: a pattern becomes MLX's own unflatten, transpose, repeat and flatten.

Patterns are those of the einops documentation (https://einops.rocks/api/rearrange/): names of axes, groups in
parentheses that one axis is split into or joined from, `1` for an axis of length one, `...` for any number of axes.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from string import ascii_letters

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import transpose
from portwright.codegen.quote import call, literal, method, plain, quote, tuple_of
from portwright.codegen.translate.library import LIBRARY_ROWS
from portwright.codegen.translate.registry import Layout, Operation, row

TOKEN = re.compile(r"\.\.\.|[()]|\w+")
REDUCTIONS = frozenset({"mean", "sum", "max", "min", "prod", "any", "all"})
Group = tuple[str, ...]  # the names that one axis is made of; () is an axis of length one


@dataclass(frozen=True)
class Pattern:
    """Both sides of a pattern, an axis each."""

    before: tuple[Group, ...]
    after: tuple[Group, ...]


def side(text: str, rank: int | None) -> tuple[Group, ...]:
    """The axes of one side. `rank` says how many `...` stands for, None that another side has said so already."""
    groups: list[list[str]] = []
    inside = False
    for token in TOKEN.findall(text):
        if token == "(":
            groups.append([])
            inside = True
        elif token == ")":
            inside = False
        elif inside:
            groups[-1] += [token] if token != "1" else []
        else:
            groups.append([token] if token != "1" else [])
    if rank is not None and ["..."] in groups:
        place = groups.index(["..."])
        groups[place : place + 1] = [[f"...{i}"] for i in range(rank - len(groups) + 1)]
    return tuple(tuple(g) for g in groups)


def parsed(op: Operation, pattern: str, rank: int) -> Pattern:
    """Raises HoleError for what is no pattern of a value of this rank."""
    left, arrow, right = pattern.partition("->")
    before = side(left, rank)
    spread = [g[0] for g in before if g and g[0].startswith("...")]
    after: list[Group] = []
    for group in side(right, None):
        if group == ("...",):
            after += [(name,) for name in spread]
        else:
            after.append(tuple(n for name in group for n in (spread if name == "..." else [name])))
    if not arrow or len(before) != rank or any("..." in g for g in before):
        raise HoleError(f"{op.name}: the pattern {pattern!r} of a value of rank {rank}")
    return Pattern(before, tuple(after))


def split(op: Operation, x: ast.expr, groups: tuple[Group, ...]) -> ast.expr:
    """Every group as axes of its own; of a group one length may be unknown."""
    for axis in reversed(range(len(groups))):
        group = groups[axis]
        if len(group) == 1:
            continue
        if not group:
            x = method(x, "squeeze", literal(axis))
            continue
        unknown = [name for name in group if name not in op.args]
        if len(unknown) > 1:
            raise HoleError(f"{op.name}: the lengths of {' and '.join(unknown)} are not given")
        x = call("mx.unflatten", x, literal(axis), tuple_of(op.args.get(name, literal(-1)) for name in group))
    return x


def joined(x: ast.expr, groups: tuple[Group, ...]) -> ast.expr:
    """Every group as one axis."""
    for axis, group in enumerate(groups):
        if not group:
            x = call("mx.expand_dims", x, literal(axis))
        elif len(group) > 1:
            x = method(x, "flatten", literal(axis), literal(axis + len(group) - 1))
    return x


def opened(op: Operation) -> tuple[Pattern, ast.expr, list[str]]:
    """The pattern, the value split into single axes, and their names."""
    x, rank = op["input"], op.scope.rank(op.raw["input"])
    if op.kinds("input") & {"list", "tuple"}:
        raise HoleError(f"{op.name} of several values")
    if rank is None:
        raise HoleError(f"{op.name}: the rank of its value is not known")
    pattern = parsed(op, op.value("pattern"), rank)
    return pattern, split(op, x, pattern.before), [name for group in pattern.before for name in group]


def ordered(op: Operation, x: ast.expr, names: list[str], wanted: list[str]) -> ast.expr:
    if sorted(names) != sorted(wanted):
        raise HoleError(f"{op.name}: {', '.join(sorted(set(names) ^ set(wanted)))} on one side only")
    return transpose(x, tuple(names.index(name) for name in wanted))


@row("einops.rearrange", "input pattern **lengths", Layout.OPAQUE, LIBRARY_ROWS)
def rearrange(op: Operation) -> ast.expr:
    """Split, reorder and join axes."""
    pattern, x, names = opened(op)
    wanted = [name for group in pattern.after for name in group]
    return joined(ordered(op, x, names, wanted), pattern.after)


@row("einops.repeat", "input pattern **lengths", Layout.OPAQUE, LIBRARY_ROWS)
def repeat(op: Operation) -> ast.expr:
    """Copy along axes that the value has not: each is put in its place with length one, then repeated."""
    pattern, x, names = opened(op)
    wanted = [name for group in pattern.after for name in group]
    fresh = [name for name in wanted if name not in names]
    x = ordered(op, x, names, [name for name in wanted if name in names])
    for name in fresh:
        if name not in op.args:
            raise HoleError(f"{op.name}: the length of {name} is not given")
        at = literal(wanted.index(name))
        x = quote("mx.repeat(mx.expand_dims(x, at), n, axis=at)", x=x, at=at, n=op.args[name])
    return joined(x, pattern.after)


@row("einops.reduce", "input pattern reduction **lengths", Layout.OPAQUE, LIBRARY_ROWS)
def reduce(op: Operation) -> ast.expr:
    """Reduce over the axes that the right side leaves out."""
    kind = op.value("reduction")
    if kind not in REDUCTIONS:
        raise HoleError(f"{op.name} by {kind!r}")
    pattern, x, names = opened(op)
    wanted = [name for group in pattern.after for name in group]
    gone = tuple(i for i, name in enumerate(names) if name not in wanted)
    if gone:
        x = call(f"mx.{kind}", x, axis=literal(gone if len(gone) > 1 else gone[0]))
    return joined(ordered(op, x, [name for name in names if name in wanted], wanted), pattern.after)


@row("einops.einsum", "*operands", Layout.OPAQUE, LIBRARY_ROWS)
def contracted(op: Operation) -> ast.expr:
    """Names of axes as the letters of an equation."""
    pattern = plain(op.scope.known(op.raw_star[-1]))
    letters: dict[str, str] = {}
    if not isinstance(pattern, str) or "(" in pattern or len(set(re.findall(r"\w+", pattern))) > len(ascii_letters):
        raise HoleError(f"{op.name} by {pattern!r}")
    equation = re.sub(r"\w+", lambda m: letters.setdefault(m[0], ascii_letters[len(letters)]), pattern)
    return call("mx.einsum", literal(equation.replace(" ", "")), *op.star[:-1])


def packed_axis(op: Operation) -> tuple[int, int]:
    """The place of `*` in a pattern, and how many axes follow it."""
    names = op.value("pattern").split()
    if names.count("*") != 1:
        raise HoleError(f"{op.name}: the pattern {op.value('pattern')!r}")
    return names.index("*"), len(names) - names.index("*") - 1


@row("einops.pack", "tensors pattern", Layout.OPAQUE, LIBRARY_ROWS)
def pack(op: Operation) -> ast.expr:
    made = call("pack", op["tensors"], *map(literal, packed_axis(op)))
    return ask(made, Demand("snippet", "pack"))


@row("einops.unpack", "tensor packed_shapes pattern", Layout.OPAQUE, LIBRARY_ROWS)
def unpack(op: Operation) -> ast.expr:
    made = call("unpack", op["tensor"], op["packed_shapes"], literal(packed_axis(op)[0]))
    return ask(made, Demand("snippet", "unpack"))
