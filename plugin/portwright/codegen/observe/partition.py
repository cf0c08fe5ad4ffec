"""Which uses of a function may share one text: contexts that conflict are kept apart, all others stay together.

A context conflicts with another where one expression is channels-last in one of them only, where one call runs
different code, or where a value whose rank the code asks has another, among channels-last ones. Methods are kept apart
by splitting the instances of their class, so that `module(x)` finds its own text; plain functions, and methods that one
instance uses in two ways, by where they are called. A split is carried to the callers until each call site reaches one
variant. Where a single call reaches several, nothing can tell them apart before run time: they are put together again,
and the conflict stays for the generator to name.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from portwright.codegen.observe.contexts import Context, Contexts
from portwright.codegen.observe.resolve import class_key
from portwright.codegen.observe.seeing import Seeing

ROUNDS = 500  # of splitting: far more than any model needs
Key = Hashable
Summary = dict[Key, Key]
Label = tuple[int, ...]


@dataclass(frozen=True)
class Splits:
    """The variants found; 0 is the first of each function or class."""

    local: Mapping[Context, int]  # context -> variant within its class
    group: Mapping[tuple[str, int], int]  # (class key, identity of an instance) -> variant of the class

    def of_class(self, cls: str, instance: torch.nn.Module | None) -> int:
        return self.group.get((cls, id(instance)), 0) if instance is not None else 0


def lineage(instance: torch.nn.Module) -> list[str]:
    """Keys of the classes of an instance that are not torch's own, itself first."""
    return [class_key(c) for c in type(instance).__mro__ if c is not object and not c.__module__.startswith("torch.")]


def owner_of(c: Context) -> str:
    """The class of modules that a context's function is a method of, "" for any other function."""
    return class_key(c.reached.owner) if c.instance is not None and c.reached.owner is not None else ""


class Glue:
    """Things that must stay together (union-find)."""

    def __init__(self) -> None:
        self.above: dict[Hashable, Hashable] = {}

    def find(self, x: Hashable) -> Hashable:
        while x in self.above:
            x = self.above[x]
        return x

    def join(self, xs: Iterable[Hashable]) -> bool:
        roots = list(dict.fromkeys(self.find(x) for x in xs))
        for r in roots[1:]:
            self.above[r] = roots[0]
        return len(roots) > 1


class Partition:
    """The search for the coarsest partition without conflicts."""

    def __init__(self, contexts: Contexts, models: Sequence[torch.nn.Module]) -> None:
        self.glue = Glue()
        self.instances = {id(c.instance): c.instance for c in contexts.all if c.instance is not None}
        self.lineages = {i: lineage(m) for i, m in self.instances.items()}
        self.glue.join(id(m) for m in models)
        # what a library's code calls can only be the first variant, so it comes first
        self.contexts = sorted(contexts.all, key=is_direct)
        self.children: dict[Context, dict[tuple[int, int], list[Context]]] = {}
        self.made: dict[Context, dict[tuple[int, str], list[int]]] = {}
        self.own: dict[tuple[str, int], Label] = {}
        self.local: dict[Context, Label] = {}
        self.index(contexts, {id(m) for model in models for m in model.modules()})
        self.static = {c: summary(c) for c in self.contexts}
        self.forwarded()

    def index(self, contexts: Contexts, part: set[int]) -> None:
        """Who calls and makes what; what cannot be told apart is glued."""
        indirect: dict[Key, list[Context]] = {}
        same: dict[str, list[Context]] = {}
        for c in self.contexts:
            same.setdefault(c.reached.fid, []).append(c)
            if c.parent is not None:
                self.children.setdefault(c.parent, {}).setdefault((c.site, id(c.reached)), []).append(c)
            if not is_direct(c):
                indirect.setdefault((id(c.reached), id(c.instance)), []).append(c)
        for cs in indirect.values():
            self.glue.join(cs)
        for c in self.contexts:
            for fid in functions_as_values(c):
                self.glue.join(same.get(fid, ()))
        for i, site in contexts.built.items():
            for cls in self.lineages.get(i, [])[:1]:
                self.made.setdefault(site.context, {}).setdefault((site.number, cls), []).append(i)
        for i in (self.instances.keys() - contexts.built.keys()) & part:
            # nobody knows which call made it: it stays with all others of its class
            self.glue.join([i, *(j for j in self.instances if self.lineages[j][:1] == self.lineages[i][:1])])

    def forwarded(self) -> None:
        """A call that hands on `**keywords` is one text only where each function that it runs takes all of them."""
        arrived: dict[Key, set[str]] = {}
        for c in self.contexts:
            for name, s in c.nodes.items():
                if s.starred:
                    arrived.setdefault((c.reached.fid, name), set()).update(s.starred)
        takes = {c.reached.fid: c.reached.function for c in self.contexts} if arrived else {}
        for c in self.contexts:
            for name, s in c.nodes.items():
                wanted = arrived.get((c.reached.fid, name), set())
                if wanted and s.callees and name in c.reached.calls:
                    reached = [takes[k.fid] for k in s.callees if k.fid in takes]
                    every = all(accepts(f, wanted) for f in reached)
                    self.static[c]["keywords", name] = "all" if every else frozenset(s.starred)

    def solve(self) -> Splits:
        for _ in range(ROUNDS):
            self.own, self.local = {}, {}
            if self.refine():
                return Splits(self.numbered_locals(), self.numbered_groups())
        return Splits({}, {})

    def refine(self) -> bool:
        """Split until no conflict is left; False where a single call reaches several variants, which are now glued."""
        for _ in range(ROUNDS):
            if self.glue_single_calls():
                return False
            if not any(self.split(block) for block in self.blocks()):
                return True
        return False

    def group(self, cls: str, i: int) -> tuple[Label, ...]:
        """The variant of a class that an instance belongs to: its own splits and those of its bases."""
        order = self.lineages[i]
        return tuple(self.own.get((c, i), ()) for c in order[order.index(cls) :])

    def label(self, c: Context) -> Label:
        return self.local.get(c, ())

    def block_of(self, c: Context) -> Key:
        owner = owner_of(c)
        return (id(c.reached), self.group(owner, id(c.instance)) if owner else (), self.label(c))

    def blocks(self) -> list[list[Context]]:
        found: dict[Key, list[Context]] = {}
        for c in self.contexts:
            found.setdefault(self.block_of(c), []).append(c)
        return [b for b in found.values() if len(b) > 1]

    def glue_single_calls(self) -> bool:
        """Put together what one call runs or makes in several variants, where its contexts cannot be told apart."""
        calls: dict[Key, list[Context]] = {}
        makings: dict[Key, list[int]] = {}
        for c in self.contexts:
            owner = owner_of(c)
            item = (self.block_of(c), self.glue.find(id(c.instance) if owner else c))
            for at, children in self.children.get(c, {}).items():
                calls.setdefault((item, at), []).extend(children)
            for place, made in self.made.get(c, {}).items():
                makings.setdefault((item, place), []).extend(made)
        glued = False
        for children in calls.values():
            if len({self.label(k) for k in children}) > 1:
                glued |= self.glue.join(children)
        for makes in makings.values():
            if len({self.group(self.lineages[i][0], i) for i in makes}) > 1:
                glued |= self.glue.join(makes)
        return glued

    def reach(self, c: Context) -> Summary:
        """Which variants the calls of one context run and make."""
        out: Summary = {}
        for (site, reached), children in self.children.get(c, {}).items():
            out["runs", site, reached] = self.label(children[0])
        for (site, cls), made in self.made.get(c, {}).items():
            out["makes", site, cls] = self.group(cls, made[0])
        return out

    def split(self, block: list[Context]) -> bool:
        """Keep conflicting contexts of one block apart: by instance where that is enough, else by call."""
        summaries = {c: self.static[c] | self.reach(c) for c in block}
        owner = owner_of(block[0])
        if owner:
            instances: dict[Key, list[Context]] = {}
            for c in block:
                instances.setdefault(self.glue.find(id(c.instance)), []).append(c)
            parts = {i: coloured({c: summaries[c] for c in cs}) for i, cs in instances.items()}
            single = {i: len(cs) == 1 or not any(parts[i].values()) for i, cs in instances.items()}
            if all(single.values()):
                colours = coloured({i: union(summaries[c] for c in cs) for i, cs in instances.items()})
                for i, cs in instances.items():
                    for j in {id(c.instance) for c in cs} if any(colours.values()) else ():
                        self.own[owner, j] = (*self.own.get((owner, j), ()), colours[i])
                return any(colours.values())
        items: dict[Key, list[Context]] = {}
        for c in block:
            items.setdefault(self.glue.find(c), []).append(c)
        colours = coloured({i: union(summaries[c] for c in cs) for i, cs in items.items()})
        for i, cs in items.items():
            for c in cs if any(colours.values()) else ():
                self.local[c] = (*self.label(c), colours[i])
        return any(colours.values())

    def numbered_groups(self) -> dict[tuple[str, int], int]:
        numbers: dict[str, dict[Key, int]] = {}
        out = {}
        for i, order in self.lineages.items():
            for cls in order:
                known = numbers.setdefault(cls, {})
                out[cls, i] = known.setdefault(self.group(cls, i), len(known))
        return out

    def numbered_locals(self) -> dict[Context, int]:
        numbers: dict[Key, dict[Key, int]] = {}
        out = {}
        for c in self.contexts:
            known = numbers.setdefault(self.block_of(c)[:2], {})  # type: ignore[index]
            out[c] = known.setdefault(self.label(c), len(known))
        return out


def accepts(function: types.FunctionType, names: set[str]) -> bool:
    """Whether a function takes all of these keywords."""
    parameters = inspect.signature(function).parameters
    return any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or names <= parameters.keys()


def is_direct(c: Context) -> bool:
    """Whether the call that entered a context names its function, rather than a library's code in between."""
    if c.parent is None:
        return False
    at = c.parent.nodes.get(c.site)
    return at is not None and any(k.fid == c.reached.fid for k in at.callees)


def functions_as_values(c: Context) -> set[str]:
    """Plain functions that a context handles as values, without calling them there."""
    called = c.reached.called_at
    return {
        k.fid
        for number, s in c.nodes.items()
        for k in s.callees
        if k.fid and k.sort == "function" and number not in called and number not in c.reached.calls
    }


def summary(c: Context) -> Summary:
    """What must be one thing in a text: the layout of each expression, a rank that is asked, the code of each call."""
    out: Summary = {}
    lasts = any("cl" in s.tags for s in c.nodes.values())
    for name, s in [*c.params.items(), *c.nodes.items()]:
        if len(s.tags) == 1:
            out["layout", name] = next(iter(s.tags))
        for place, tag in enumerate(s.element_tags or ()):
            if tag not in ("-", "mixed"):
                out["layout", name, place] = tag
        if lasts and name in c.reached.ranked and len(s.ranks) == 1:
            out["rank", name] = next(iter(s.ranks))
        if s.callees and name in c.reached.calls:
            out["callee", name] = dispatch(s)
    return out


def dispatch(s: Seeing) -> Key:
    """What a call runs; calls that find their code by the object are all alike."""
    sorts = {k.sort for k in s.callees}
    if sorts in ({"module"}, {"method"}):
        return next(iter(sorts))
    return frozenset((k.name, k.fid, k.cls if k.sort == "class" else "", k.torch) for k in s.callees)


def union(summaries: Iterable[Summary]) -> Summary:
    out: Summary = {}
    for s in summaries:
        out.update(s)
    return out


def coloured(items: Mapping[Key, Summary]) -> dict[Key, int]:
    """A colour for each item such that no two of one colour disagree; the first fit, in order."""
    groups: list[Summary] = []
    out = {}
    for key, mine in items.items():
        for colour, group in enumerate(groups):
            if all(group.get(k, v) == v for k, v in mine.items()):
                group.update(mine)
                out[key] = colour
                break
        else:
            out[key] = len(groups)
            groups.append(dict(mine))
    return out
