"""What a row is, and the one table of them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from portwright.codegen.holes import HoleError
from portwright.codegen.layout import last_axis
from portwright.codegen.quote import is_none, literal, plain, quote

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope


class Layout(Enum):
    """How a row behaves where values are held channels-last."""

    ELEMENTWISE = "operands are brought to one layout, the result has it"
    AXIS = "the row moves its axis arguments"
    OPAQUE = "operands are brought to channels-first, the result back"
    AWARE = "the row looks at layouts itself"


REQUIRED = object()


@dataclass(frozen=True)
class Row:
    """One torch function: its parameters in torch's order, and how its MLX tree is built."""

    name: str
    parameters: tuple[tuple[str, Any], ...]
    variadic: str  # the parameter that takes `view(a, b)` and `view((a, b))` alike
    leading: int  # parameters before it
    layout: Layout
    build: Callable[[Operation], ast.expr]
    open: bool = False  # takes keywords of any name


@dataclass
class Operation:
    """One call of a torch function, its arguments bound to the row's parameters."""

    scope: Scope
    node: ast.Call
    name: str
    raw: dict[str, ast.expr]  # source trees
    args: dict[str, ast.expr]  # translated trees
    star: list[ast.expr] = field(default_factory=list)  # translated values of the variadic parameter
    raw_star: list[ast.expr] = field(default_factory=list)
    assumed: list[Any] = field(default_factory=list)  # demands that the built tree carries

    def __getitem__(self, name: str) -> ast.expr:
        """The translated argument. Raises HoleError when the call does not give it."""
        if name not in self.args:
            raise HoleError(f"{self.name} without {name}")
        return self.args[name]

    def get(self, name: str) -> ast.expr | None:
        """The translated argument, None when it is absent or the literal None."""
        value = self.args.get(name)
        return None if is_none(value) else value

    def value(self, name: str, default: Any = None) -> Any:
        """The argument's plain value: a literal, or what it always was where it reads no config."""
        if name not in self.raw:
            return default
        found = plain(self.args[name])
        if found is None and not is_none(self.args[name]):
            seen = self.scope.seen(self.raw[name])
            if seen.const:
                self.assume(name, seen.consts[0])
                return seen.consts[0]
            raise HoleError(f"{self.name}: {name} is not one constant")
        return found

    def constants(self, name: str) -> tuple[Any, ...]:
        """Every plain value that an argument was seen to have; empty where it was anything else too."""
        seen = self.scope.seen(self.raw.get(name))
        return () if seen.mixed else seen.consts

    def assume(self, name: str, value: Any) -> None:
        """The row was chosen by an argument's value: a config that gives another is refused."""
        from portwright.codegen.emit.provenance import over_config, settled
        from portwright.codegen.facts.record import Demand
        from portwright.codegen.holes import Assumption

        if settled(self.scope, self.raw[name]):
            return
        config = over_config(self.scope, self.raw[name])
        test = f"{ast.unparse(self.raw[name])} == {value!r}"
        check = f"{ast.unparse(config)} == {value!r}" if config is not None else ""
        checked = "construction" if config is not None else "no"
        self.assumed.append(Demand("assume", Assumption(self.scope.where(self.node), test, True, checked, check)))

    def kinds(self, name: str) -> frozenset[str]:
        return self.scope.kinds(self.raw.get(name))

    def rank(self, name: str = "input") -> int:
        """The rank of a tensor argument. Raises HoleError when it varied."""
        rank = self.scope.rank(self.raw.get(name))
        if rank is None:
            raise HoleError(f"{self.name}: the rank of {name} is not known")
        return rank

    def is_last(self, name: str = "input") -> bool:
        return name in self.raw and self.scope.is_last(self.raw[name])

    def axis(self, name: str = "dim", of: str = "input", default: Any = None) -> ast.expr | None:
        """An axis argument, moved where the tensor is channels-last."""
        given = self.get(name)
        if given is None:
            given = literal(default) if default is not None else None
        if given is None or not self.is_last(of):
            return given
        if isinstance(given, ast.IfExp):
            return ast.IfExp(given.test, self.place(given.body, of), self.place(given.orelse, of))
        if plain(given) is None and name in self.raw and self.scope.seen(self.raw[name]).const:
            return self.place(literal(self.value(name)), of)
        return self.place(given, of)

    def place(self, given: ast.expr, of: str) -> ast.expr:
        """A literal axis (or several) of a channels-last tensor."""
        value = plain(given)
        if value in (0, 1) and isinstance(value, int):
            return literal(0 if value == 0 else -1)  # whatever the rank
        rank = self.rank(of)
        if isinstance(value, int):
            moved = last_axis(value, rank)
            return literal(moved if moved < rank - 1 else -1)
        if isinstance(value, (tuple, list)):
            return literal(tuple(last_axis(v, rank) for v in value))
        raise HoleError(f"{self.name}: the axis of a channels-last value is not a constant")

    def sizes(self, name: str) -> list[ast.expr]:
        """The values of the variadic parameter, a single tuple or list opened."""
        if len(self.star) == 1 and isinstance(self.star[0], (ast.Tuple, ast.List)):
            given = getattr(self.raw_star[0], "elts", [])
            return self.numbers(given, self.star[0].elts) if len(given) == len(self.star[0].elts) else self.star[0].elts
        if (
            len(self.star) == 1
            and self.scope.kinds(self.raw_star[0]) & {"size", "tuple", "list"}
            and not isinstance(self.raw_star[0], ast.Starred)
        ):
            return [ast.Starred(self.star[0], ast.Load())]
        if not self.star:
            raise HoleError(f"{self.name} without {name}")
        return self.numbers(self.raw_star, self.star)

    def numbers(self, raw: list[ast.expr], translated: list[ast.expr]) -> list[ast.expr]:
        """Sizes as Python numbers, which MLX wants where torch takes a tensor of one number too."""
        pairs = zip(raw, translated, strict=True)
        return [
            quote("int(x)", x=t) if self.scope.kinds(r) == {"tensor"} and self.scope.rank(r) == 0 else t
            for r, t in pairs
        ]


ROWS: dict[str, Row] = {}


def parse_signature(signature: str) -> tuple[tuple[tuple[str, Any], ...], str, int]:
    """`"input *size dtype=None"` as parameters with defaults, the variadic one, and how many come before it."""
    parameters: list[tuple[str, Any]] = []
    variadic, leading = "", 0
    for part in signature.split():
        if part.startswith("**"):
            continue
        if part.startswith("*"):
            variadic, leading = part[1:], len(parameters)
            continue
        name, has_default, default = part.partition("=")
        parameters.append((name, ast.literal_eval(default) if has_default else REQUIRED))
    return tuple(parameters), variadic, leading


def row(
    names: str, signature: str, layout: Layout = Layout.OPAQUE, table: dict[str, Row] = ROWS
) -> Callable[[Callable[[Operation], ast.expr]], Callable[[Operation], ast.expr]]:
    """Register a builder for torch functions of these names."""

    def register(build: Callable[[Operation], ast.expr]) -> Callable[[Operation], ast.expr]:
        parameters, variadic, leading = parse_signature(signature)
        for name in names.split():
            table[name] = Row(name, parameters, variadic, leading, layout, build, "**" in signature)
        return build

    return register


def template(names: str, signature: str, text: str, layout: Layout = Layout.OPAQUE) -> None:
    """Register a row whose tree is a template over its parameters; `{name}` stands for the torch name."""
    for name in names.split():

        def build(op: Operation, text: str = text.replace("{name}", name)) -> ast.expr:
            values = {p: op.args.get(p, literal(None if d is REQUIRED else d)) for p, d in ROWS[op.name].parameters}
            return quote(text, **values)

        row(name, signature, layout)(build)
