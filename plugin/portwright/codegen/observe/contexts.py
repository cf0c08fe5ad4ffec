"""What was seen in one function as called from one place: a tree of calling contexts, one node per call site."""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from portwright.codegen.observe.resolve import function_key
from portwright.codegen.observe.seeing import Seeing
from portwright.codegen.source import number, parse_function


class Source(NamedTuple):
    """A function's text, and where it stands."""

    text: str
    line: int
    classes: tuple[str, ...]  # enclosing class names
    decorators: tuple[str, ...]  # as written, arguments left out
    added: str = ""  # a field of its result that its own text never gave


class Reached:
    """One instrumented function."""

    def __init__(self, function: types.FunctionType, source: Source) -> None:
        self.function = function
        self.fid = function_key(function)
        self.source = source.text
        self.line = source.line
        self.classes = source.classes
        self.decorators = source.decorators
        self.added = source.added
        self.tree = parse_function(source.text)
        self.kwname = self.tree.args.kwarg.arg if self.tree.args.kwarg else ""
        self.first = function.__code__.co_varnames[0] if function.__code__.co_argcount else ""

    @functools.cached_property
    def calls(self) -> frozenset[int]:
        """Numbers of its calls."""
        return frozenset(number(n) for n in ast.walk(self.tree) if isinstance(n, ast.Call))

    @functools.cached_property
    def called_at(self) -> dict[int, int]:
        """Number of a called expression -> number of its call."""
        return {number(n.func): number(n) for n in ast.walk(self.tree) if isinstance(n, ast.Call)}

    @functools.cached_property
    def ranked(self) -> frozenset[int]:
        """Numbers of expressions whose rank it asks: `x.ndim`, `x.dim()`."""
        asked = (n for n in ast.walk(self.tree) if isinstance(n, ast.Attribute) and n.attr in ("ndim", "dim"))
        return frozenset(number(n.value) for n in asked)

    @functools.cached_property
    def changed_names(self) -> dict[int, str]:
        """Number of a call `x.op_()` that is a statement -> x, which the port binds to the result."""
        out: dict[int, str] = {}
        for n in ast.walk(self.tree):
            if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call):
                calls: list[ast.Call] = []
                at: ast.AST = n.value
                while isinstance(at, (ast.Call, ast.Attribute, ast.Subscript)):
                    calls += [at] if isinstance(at, ast.Call) else []
                    at = at.func if isinstance(at, ast.Call) else at.value
                if isinstance(at, ast.Name):
                    out |= {number(c): at.id for c in calls}
        return out

    @functools.cached_property
    def owner(self) -> type | None:
        """The class whose body defines the function."""
        found: Any = self.function.__globals__
        for index, name in enumerate(self.classes):
            found = found.get(name) if index == 0 else getattr(found, name, None)
            if found is None:
                return None
        return found if isinstance(found, type) else None


class Context:
    """A function, the call site that it was entered from, and the module whose method it is."""

    __slots__ = ("aliased", "always", "entered", "instance", "nodes", "params", "parent", "reached", "site", "starred")

    def __init__(
        self,
        reached: Reached,
        parent: Context | None = None,
        site: int = -1,
        instance: torch.nn.Module | None = None,
    ) -> None:
        self.reached = reached
        self.parent = parent
        self.site = site  # number of the call in the parent's tree
        self.instance = instance
        self.nodes: dict[int, Seeing] = {}
        self.params: dict[str, Seeing] = {}
        self.entered = 0
        self.aliased: set[int] = set()  # changes in place that something reads under another name
        self.starred: set[str] = set()  # names that arrived in **kwargs, and those that did each time
        self.always: set[str] | None = None

    def node(self, number: int) -> Seeing:
        found = self.nodes.get(number)
        if found is None:
            found = self.nodes[number] = Seeing()
        return found

    def arrived(self, names: set[str], always: set[str] | None) -> None:
        """Remember names that came in **kwargs; `always` is None where nothing ever came or went."""
        self.starred |= names
        if always is not None:
            self.always = set(always) if self.always is None else self.always & always

    def absorb(self, other: Context) -> None:
        """Add everything that was seen in another context of the same function."""
        self.entered += other.entered
        self.arrived(other.starred, other.always)
        self.aliased |= other.aliased
        for name, seeing in other.params.items():
            self.params.setdefault(name, Seeing()).absorb(seeing)
        for place, seeing in other.nodes.items():
            self.node(place).absorb(seeing)


class Contexts:
    """All contexts of one observation."""

    def __init__(self) -> None:
        self.all: list[Context] = []
        self.known: dict[tuple[int, int, int, int], Context] = {}
        self.sites: list[Site] = []  # the calls in progress
        self.built: dict[int, Site] = {}  # module -> the constructor call that made it
        self.alive: list[torch.nn.Module] = []  # so that no identity is given twice

    def enter(self, reached: Reached, values: Mapping[str, Any]) -> Context:
        """The context of a function that has just been entered, with these arguments."""
        site = self.sites[-1] if self.sites else None
        parent = site.context if site is not None else None
        place = site.number if site is not None else -1
        instance = values.get(reached.first) if reached.first else None
        if (
            not isinstance(instance, torch.nn.Module)
            or reached.owner is None
            or not isinstance(instance, reached.owner)
        ):
            instance = inherited_instance(reached, parent)
        above = parent
        while above is not None:  # recursion ends in the context that it began in
            if above.reached is reached and above.instance is instance:
                if site is not None:
                    site.entered.append(above)
                return above
            above = above.parent
        key = (id(reached), id(parent), place, id(instance))
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = Context(reached, parent, place, instance)
            self.all.append(found)
            if instance is not None:
                self.alive.append(instance)
        if site is not None:
            site.entered.append(found)
        return found


class Site:
    """One call in progress."""

    __slots__ = ("context", "entered", "number")

    def __init__(self, context: Context, number: int) -> None:
        self.context = context
        self.number = number
        self.entered: list[Context] = []  # contexts that it entered


def inherited_instance(reached: Reached, parent: Context | None) -> torch.nn.Module | None:
    """A static method that a module's method calls goes with that module."""
    owner = reached.owner
    if owner is None or parent is None or parent.instance is None:
        return None
    return parent.instance if isinstance(parent.instance, owner) else None
