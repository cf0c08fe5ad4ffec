"""The reference as the generator sees it: trees, observations and class relations behind plain look-ups."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from portwright.codegen.keyed import without_dicts
from portwright.codegen.renamed import with_literal_places, with_own_names
from portwright.codegen.source import Comments, comments_of, number, parse_function, summary
from portwright.codegen.trace import ClassTrace, FunctionTrace, ModuleTrace, Seen, Trace

NOTHING = Seen()


@dataclass(frozen=True)
class Function:
    """One reached function with its parsed, numbered source."""

    trace: FunctionTrace
    tree: ast.FunctionDef
    comments: Comments

    @functools.cached_property
    def summary(self) -> str:
        """What the reference says of it, in a sentence or a few."""
        return summary(self.tree)

    @property
    def fid(self) -> str:
        return self.trace.fid

    def seen(self, node: ast.AST | None) -> Seen:
        """What an expression was; an empty record where it never ran."""
        if node is None:
            return NOTHING
        return self.trace.nodes.get(str(number(node)), NOTHING)

    @property
    def parameters(self) -> list[str]:
        a = self.tree.args
        return [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)]

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the source tree, which no stage changes."""
        return tuple(ast.walk(self.tree))

    @functools.cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        """The node that each node is a part of."""
        return {child: parent for parent in self.nodes for child in ast.iter_child_nodes(parent)}

    def stores_of(self, name: str) -> int:
        """How often a local name is bound, by whatever statement."""
        return sum(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in self.nodes)

    def nodes_named(self, name: str) -> list[ast.Name]:
        """Every read of a local name."""
        loads = (n for n in self.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
        return [n for n in loads if n.id == name]

    @property
    def is_method(self) -> bool:
        return self.trace.binding in ("method", "property")


def is_config_update(function: Function, node: ast.AST) -> bool:
    """`config.update({"field": value, ...})`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update"):
        return False
    named = len(node.args) == 1 and isinstance(node.args[0], ast.Dict) and not node.keywords
    return (
        named
        and function.seen(node.func.value).kinds == {"config"}
        and all(isinstance(k, ast.Constant) and isinstance(k.value, str) for k in node.args[0].keys)  # type: ignore[attr-defined]
    )


def source_tree(trace: FunctionTrace) -> ast.FunctionDef:
    """The parsed source as later stages read it."""
    tree = with_literal_places(parse_function(trace.source), trace)
    return with_own_names(without_dicts(tree, trace), trace)


class Program:
    """All functions and classes of one trace."""

    def __init__(self, trace: Trace, runtime: str = "standalone") -> None:
        self.trace = trace
        self.runtime = runtime
        self.functions: dict[str, Function] = {
            fid: Function(f, source_tree(f), comments_of(f.source)) for fid, f in trace.functions.items()
        }
        self.by_owner: dict[tuple[str, str], str] = {
            (f.owner, f.name): fid for fid, f in trace.functions.items() if f.owner
        }
        self.modules: dict[str, ModuleTrace] = {
            f"{i}:{m.path}": m for i, model in enumerate(trace.models) for m in model.modules
        }
        self.modules |= {f"loose:{m.path}": m for m in trace.loose}

    def cls(self, key: str) -> ClassTrace | None:
        return self.trace.classes.get(key)

    def variants(self, key: str) -> list[str]:
        """A class and its variants, each for instances that need code of their own."""
        return [key, *(c.key for c in self.trace.classes.values() if c.variant_of == key)]

    def lineage(self, key: str) -> tuple[str, ...]:
        """A class and its bases, in the method resolution order."""
        cls = self.cls(key)
        return (key, *cls.bases) if cls is not None else (key,)

    def method(self, cls: str, name: str) -> str:
        """The fid of the method that instances of a class have, "" when it was not reached."""
        for owner in self.lineage(cls):
            fid = self.by_owner.get((owner, name))
            if fid is not None:
                return fid
        return ""

    def is_torch(self, key: str) -> bool:
        cls = self.cls(key)
        return cls is not None and cls.module.partition(".")[0] == "torch"

    def is_module(self, key: str) -> bool:
        cls = self.cls(key)
        return cls is not None and bool(cls.torch_base)

    def torch_base(self, key: str) -> str:
        cls = self.cls(key)
        return cls.torch_base if cls is not None else ""

    def is_subclass(self, key: str, base: str) -> bool:
        """Whether a class or one of its bases has this bare name in torch."""
        return any(b.rpartition(":")[2] == base and b.startswith("torch") for b in self.lineage(key))

    @functools.cached_property
    def instances(self) -> Mapping[str, list[ModuleTrace]]:
        """Modules of the observed models by class."""
        out: dict[str, list[ModuleTrace]] = {}
        for m in self.modules.values():
            out.setdefault(m.cls, []).append(m)
        return out

    @functools.cached_property
    def stored_on(self) -> dict[str, frozenset[str]]:
        """For each attribute that code stores, the classes whose own methods do; "" for a store on another object."""
        found: dict[str, set[str]] = {}
        for function in self.functions.values():
            own = function.parameters[:1] if function.is_method else []
            for n in function.nodes:
                if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store):
                    is_self = isinstance(n.value, ast.Name) and [n.value.id] == own
                    found.setdefault(n.attr, set()).add(function.trace.owner if is_self else "")
        return {attr: frozenset(owners) for attr, owners in found.items()}

    def may_store(self, cls: str, attr: str) -> bool:
        """Whether some code may store this attribute on instances of a class."""
        owners = self.stored_on.get(attr, frozenset())
        return "" in owners or any(owner in self.lineage(cls) for owner in owners)

    def stored_later(self, cls: str, attr: str) -> bool:
        """Whether a method that ran, other than a constructor, assigns `self.<attr>` in instances of a class."""
        return any(owner in self.lineage(cls) or cls in self.lineage(owner) for owner in self.stored_by.get(attr, ()))

    @functools.cached_property
    def stored_by(self) -> Mapping[str, frozenset[str]]:
        """The classes with methods, constructors left out, that assign an attribute of `self`."""
        found: dict[str, set[str]] = {}
        for f in self.functions.values():
            if not f.trace.owner or not f.trace.entered or f.trace.name == "__init__" or not f.is_method:
                continue
            for n in f.nodes:
                own = isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name)
                if own and n.value.id == f.parameters[0] and f.seen(n.value).n:  # type: ignore[attr-defined]
                    found.setdefault(n.attr, set()).add(f.trace.owner)  # type: ignore[attr-defined]
        return {attr: frozenset(owners) for attr, owners in found.items()}

    @functools.cache  # noqa: B019  (a program lives as long as its worker)
    def sets_itself(self, cls: str) -> bool:
        """Whether a class's forward, or what it calls of its own, sets attributes of its object and reads them."""
        lineage, stores, loads = self.lineage(cls), set[str](), set[str]()
        reached: set[str] = set()
        pending = [self.method(cls, "forward")]
        while pending:
            fid = pending.pop()
            if fid in reached or fid not in self.functions or self.functions[fid].trace.owner not in lineage:
                continue
            reached.add(fid)
            f = self.functions[fid]
            for n in f.nodes:
                targets = n.targets if isinstance(n, ast.Assign) and f.seen(n.value).n else []
                stores |= {t.attr for t in targets if isinstance(t, ast.Attribute) and is_own(f, t)}
                if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load) and is_own(f, n):
                    loads.add(n.attr)
                if isinstance(n, ast.Call):
                    pending += [c.fid for c in f.seen(n).callees]
        return bool(stores & loads)

    @functools.cached_property
    def stored_attributes(self) -> frozenset[str]:
        """Attribute names that reached code assigns anywhere; any other is a constant of its class."""
        nodes = (n for f in self.functions.values() for n in f.nodes)
        return frozenset(n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))

    @functools.cached_property
    def changed_fields(self) -> frozenset[str]:
        """Config fields that reached code assigns: what they were at construction says nothing later."""
        out = set()
        for f in self.functions.values():
            for n in f.nodes:
                if (
                    isinstance(n, ast.Attribute)
                    and isinstance(n.ctx, ast.Store)
                    and f.seen(n.value).kinds == {"config"}
                ):
                    out.add(n.attr)
                if is_config_update(f, n):
                    out |= {k.value for k in n.args[0].keys}  # type: ignore[attr-defined]
        return frozenset(out)

    @functools.cached_property
    def compares_mask_shapes(self) -> bool:
        """Whether reached code compares the whole shape of what may be an attention mask, (batch, 1, queries, keys)."""
        for f in self.functions.values():
            for n in f.nodes:
                if isinstance(n, ast.Compare) and f.seen(n).n and isinstance(n.comparators[0], ast.Tuple):
                    masks = (f.seen(x) for x in ast.walk(n.left) if isinstance(x, ast.Name))
                    if any(s.ranks == {4} and all(shape[1] == 1 for shape in s.shapes) for s in masks):
                        return True
        return False

    @functools.cached_property
    def constructing(self) -> frozenset[str]:
        """Functions that only constructors reach."""
        starts = {fid for fid, f in self.functions.items() if f.trace.name == "__init__"}
        others = {fid for fid, f in self.functions.items() if f.trace.name in ("forward", "__call__")}
        return self.reached_from(starts) - self.reached_from(others)

    def reached_from(self, starts: set[str]) -> frozenset[str]:
        """These functions, and what they call."""
        found: set[str] = set()
        left = list(starts)
        while left:
            fid = left.pop()
            if fid not in found and fid in self.functions:
                found.add(fid)
                left += [c.fid for s in self.functions[fid].trace.nodes.values() for c in s.callees if c.fid]
        return frozenset(found)

    def init_of(self, cls: str) -> str:
        return self.method(cls, "__init__")


def is_own(function: Function, node: ast.Attribute) -> bool:
    """`self.x`."""
    return isinstance(node.value, ast.Name) and [node.value.id] == function.parameters[:1]


def reads_own_state(function: Function) -> bool:
    """Whether a method reads attributes of its object that are neither None nor one constant."""
    own = function.parameters[:1]
    return any(
        isinstance(n, ast.Attribute)
        and isinstance(n.ctx, ast.Load)
        and isinstance(n.value, ast.Name)
        and [n.value.id] == own
        and function.seen(n).n > 0
        and not function.seen(n).const
        and bool(function.seen(n).kinds - {"none"})
        for n in function.nodes
    )
