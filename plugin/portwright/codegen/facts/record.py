"""The facts that one pass hands to the next, and the demands that a pass collects."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from portwright.codegen.holes import Assumption

Node = TypeVar("Node", bound=ast.AST)
ALL = -1  # stands for every element of a function's result
VARIES = "varies"  # an argument that is no one literal
UNKNOWN = "?"  # an argument whose origin nobody knows


class Demand(NamedTuple):
    """One thing that a piece of emitted code needs, attached to the node that needs it."""

    kind: str  # "used" | "call" | "live" | "name" | "class" | "config" | "import" | "snippet" | "assume" | "arg"
    a: Any = None
    b: Any = None
    c: Any = None


def ask(node: Node, *demands: Demand) -> Node:
    """Attach demands to an emitted node; they count only if the node survives."""
    have = getattr(node, "demands", ())
    node.demands = (*have, *demands)  # type: ignore[attr-defined]
    return node


def assumed_in(node: ast.AST) -> tuple[Demand, ...]:
    """The assumptions that a translated tree carries, and the branches that it needs refused."""
    return tuple(d for n in ast.walk(node) for d in getattr(n, "demands", ()) if d.kind in ("assume", "guard"))


def demands_in(nodes: list[ast.stmt]) -> Iterator[Demand]:
    """All demands of the surviving statements."""
    for statement in nodes:
        for node in ast.walk(statement):
            yield from getattr(node, "demands", ())


@dataclass(frozen=True)
class Facts:
    """What is known about the whole program before a pass."""

    used: Mapping[str, frozenset[int]] = field(default_factory=dict)  # function -> elements of its result that count
    live: frozenset[tuple[str, str]] = frozenset()  # (class, attribute) that something reads
    names: frozenset[str] = frozenset()  # attributes read on objects of unknown class
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)  # function -> parameters that it reads
    forced: Mapping[str, frozenset[str]] = field(default_factory=dict)  # kept because a fellow callee reads them
    args: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # literals seen at call sites
    origins: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # arguments over config fields
    behind: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # config fields behind an argument
    guards: frozenset[tuple[str, int]] = frozenset()  # tests in constructors, which a callee's choice relies on
    chosen: frozenset[tuple[str, str]] = frozenset()  # parameters whose value a call reaches, written out by name
    called: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()
    config: tuple[tuple[str, str], ...] = ()  # (key of the config class, "" for the root's; field)

    def reads(self, lineage: tuple[str, ...], attribute: str) -> bool:
        """Whether an attribute of a class is read anywhere."""
        if attribute in self.names or any((cls, attribute) in self.live for cls in lineage):
            return True
        return any(cls in lineage and pattern.fullmatch(attribute) for cls, pattern in self.patterns)

    @cached_property
    def patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """The live attributes whose names are computed: `"layer_{}"` stands for whatever begins with `layer_`."""
        computed = [(cls, name) for cls, name in self.live if "{}" in name]
        return tuple((cls, re.compile(".*".join(map(re.escape, name.split("{}"))))) for cls, name in computed)


@dataclass(frozen=True)
class Extras:
    """What the file as a whole needs; collected in the last pass."""

    imports: tuple[str, ...] = ()
    snippets: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
