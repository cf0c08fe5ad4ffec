"""Names of the variants of functions and classes, and what was seen in each: plain keys, for every later stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import torch

from portwright.codegen.observe.contexts import Context, Reached
from portwright.codegen.observe.modules import Paths
from portwright.codegen.observe.partition import Partition, Splits, lineage, owner_of
from portwright.codegen.observe.recorder import Recorder
from portwright.codegen.observe.resolve import class_key
from portwright.codegen.observe.seeing import Seeing
from portwright.codegen.trace import Callee, ClassTrace, Seen


@dataclasses.dataclass(frozen=True)
class Variant:
    """One function of the port: the contexts that share its text."""

    fid: str
    owner: str  # class key
    name: str
    reached: Reached
    contexts: tuple[Context, ...]


class Variants:
    """All variants of one observation."""

    def __init__(self, recorder: Recorder, models: Sequence[torch.nn.Module], paths: Paths) -> None:
        partition = Partition(recorder.contexts, models)
        self.splits: Splits = partition.solve()
        self.paths = paths
        self.instances: Mapping[int, torch.nn.Module] = partition.instances
        self.children: Mapping[Context, Mapping[tuple[int, int], list[Context]]] = partition.children
        self.functions: dict[str, Variant] = {}
        self.by_reached: dict[str, list[str]] = {}
        groups: dict[str, list[Context]] = {}
        for c in recorder.contexts.all:
            groups.setdefault(self.fid(c), []).append(c)
        for fid, contexts in groups.items():
            reached = contexts[0].reached
            self.functions[fid] = Variant(
                fid, self.owner(contexts[0]), self.name(contexts[0]), reached, tuple(contexts)
            )
            self.by_reached.setdefault(reached.fid, []).append(fid)
        for reached in recorder.reached:
            if reached.fid not in self.by_reached:
                nobody = Context(reached)
                self.functions[reached.fid] = Variant(
                    reached.fid, self.owner(nobody), reached.function.__name__, reached, (nobody,)
                )
                self.by_reached[reached.fid] = [reached.fid]

    # -- names -------------------------------------------------------------------------------------------

    def cls(self, key: str, instance: torch.nn.Module | None) -> str:
        """The key of the class variant that an instance belongs to."""
        return suffixed(key, self.splits.of_class(key, instance))

    def class_of(self, instance: torch.nn.Module) -> str:
        return self.cls(class_key(type(instance)), instance)

    def owner(self, c: Context) -> str:
        if c.reached.owner is None:
            return ""
        key = class_key(c.reached.owner)
        # a called object becomes a plain function named after its class
        is_object = not owner_of(c) and c.reached.function.__name__ == "__call__"
        return suffixed(key, self.splits.local.get(c, 0)) if is_object else self.cls(key, c.instance)

    def name(self, c: Context) -> str:
        local = self.splits.local.get(c, 0)
        name = c.reached.function.__name__
        return name if local == 0 or name == "__call__" else f"{name}_{local + 1}"

    def fid(self, c: Context) -> str:
        owner = owner_of(c)
        group = self.splits.of_class(owner, c.instance) if owner else 0
        local = self.splits.local.get(c, 0)
        return suffixed(c.reached.fid, group) + (f"#{local + 1}" if local else "")

    def only(self, fid: str) -> str:
        """The variant of a function that is handled as a value, "" where there are several."""
        found = self.by_reached.get(fid, [fid])
        return found[0] if len(found) == 1 else ""

    # -- what was seen -----------------------------------------------------------------------------------

    def merged(self, variant: Variant) -> Context:
        """Everything seen in the contexts of one variant."""
        out = Context(variant.reached)
        for c in variant.contexts:
            out.absorb(c)
        return out

    def seen(self, variant: Variant, number: int, s: Seeing) -> Seen:
        """The frozen record of one expression (number -1: a parameter), with the names of the variants."""
        frozen = s.frozen(self.paths.of)
        modules = {class_key(type(m)) for m in s.modules.values()}
        types = (frozen.types - modules) | {self.class_of(m) for m in s.modules.values()}
        callees = dict.fromkeys(k for c in s.callees for k in self.callees(variant, number, s, c))
        return dataclasses.replace(frozen, types=types, callees=tuple(callees))

    def callees(self, variant: Variant, number: int, s: Seeing, callee: Callee) -> Iterable[Callee]:
        call = number if number in variant.reached.calls else variant.reached.called_at.get(number, -1)
        entered = [
            k
            for c in variant.contexts
            for (site, _), children in self.children.get(c, {}).items()
            if site == call
            for k in children
            if k.reached.fid == callee.fid
        ]
        involved = list(s.involved.values())
        if callee.sort in ("module", "class"):
            own = [m for m in involved if class_key(type(m)) == callee.cls]
            for m in own:
                fids = {self.fid(k): None for k in entered if k.instance is m} or {self.method_of(callee.fid, m): None}
                for fid in fids:
                    yield dataclasses.replace(callee, fid=fid, cls=self.cls(callee.cls, m))
            if own:
                return
        if entered:
            for k in entered:
                cls = self.cls(callee.cls, k.instance) if callee.sort != "object" else self.owner(k)
                yield dataclasses.replace(callee, fid=self.fid(k), cls=cls)
            return
        holders = [m for m in involved if callee.cls in lineage(m)] if callee.sort == "method" else []
        for m in holders:
            yield dataclasses.replace(callee, fid=self.method_of(callee.fid, m), cls=self.cls(callee.cls, m))
        if not holders:
            yield dataclasses.replace(callee, fid=self.only(callee.fid)) if callee.fid else callee

    def method_of(self, fid: str, instance: torch.nn.Module) -> str:
        """The variant of a method that an instance has, for a call that entered no context of its own."""
        owners = {v.owner: v.fid for f in self.by_reached.get(fid, ()) for v in [self.functions[f]]}
        for cls in lineage(instance):
            found = owners.get(self.cls(cls, instance))
            if found is not None:
                return found
        return self.only(fid) if fid else ""

    # -- classes -----------------------------------------------------------------------------------------

    def classes(self, known: Mapping[str, ClassTrace]) -> dict[str, ClassTrace]:
        """The classes with their variants, which derive from the variants of their bases."""
        out = dict(known)
        taken = {c.name for c in known.values()}
        for key, identity in self.splits.group:
            instance = self.instances[identity]
            if key not in known:
                continue
            bases = tuple(self.cls(b, instance) for b in known[key].bases)
            made = self.cls(key, instance)
            out[made] = renamed(known[key], made, taken, bases)
        for variant in self.functions.values():  # called objects
            base = variant.owner.partition("@")[0]
            if variant.owner and variant.owner not in out and base in known:
                out[variant.owner] = renamed(known[base], variant.owner, taken, known[base].bases)
        return dict(sorted(out.items()))


def suffixed(key: str, index: int) -> str:
    return f"{key}@{index + 1}" if index else key


def renamed(cls: ClassTrace, key: str, taken: set[str], bases: tuple[str, ...]) -> ClassTrace:
    """A class variant under a name of its own."""
    base, _, index = key.partition("@")
    name = cls.name
    if index:
        name = f"{cls.name}{index}" if f"{cls.name}{index}" not in taken else f"{cls.name}_{index}"
    return dataclasses.replace(cls, key=key, name=name, bases=bases, variant_of=base if index else "")
