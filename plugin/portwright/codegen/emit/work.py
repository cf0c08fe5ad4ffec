"""One pass over the program: translates functions on demand, callee before caller, under fixed facts."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from portwright.codegen.emit import attempts, surroundings  # noqa: F401  (register their statements)
from portwright.codegen.emit.calls import emit_call
from portwright.codegen.emit.defaults import NO_OUTPUT, fold_parameters, taken_by_decorators
from portwright.codegen.emit.given import always_given
from portwright.codegen.emit.parts import held_apart
from portwright.codegen.emit.results import result_variables
from portwright.codegen.emit.scope import Scope
from portwright.codegen.emit.statements import block
from portwright.codegen.facts.record import ALL, Demand, Facts, ask, demands_in
from portwright.codegen.facts.returns import Result
from portwright.codegen.holes import Assumption, Hole, HoleError, raised
from portwright.codegen.idioms.proofs import Norm, Proofs
from portwright.codegen.layout import to_last
from portwright.codegen.program import Program, reads_own_state
from portwright.codegen.quote import loads, stores
from portwright.codegen.runtime.attention import with_cached_attention
from portwright.codegen.runtime.caches import cache_last, none_at_first
from portwright.codegen.runtime.experts import Stacks, stacks
from portwright.codegen.runtime.rope import renamed
from portwright.codegen.runtime.tied import with_tied
from portwright.codegen.tidy.copies import without_copies
from portwright.codegen.tidy.fold import folded
from portwright.codegen.tidy.guards import without_repeated
from portwright.codegen.tidy.inner import without_unread_parameters
from portwright.codegen.tidy.narrow import narrowed
from portwright.codegen.tidy.overwritten import without_overwritten
from portwright.codegen.tidy.sweep import swept
from portwright.codegen.tidy.unread import without_unread
from portwright.codegen.trace import Plain
from portwright.codegen.translate.decorators import decorated


@dataclass
class Finished:
    """One translated function."""

    fid: str
    body: list[ast.stmt]
    kept: list[str]
    vararg: str
    is_method: bool
    holes: list[Hole] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)
    demands: list[Demand] = field(default_factory=list)

    @property
    def inlinable(self) -> bool:
        return (
            not self.is_method
            and len(self.body) == 1
            and isinstance(self.body[0], ast.Return)
            and (self.body[0].value is not None and not self.holes)
        )


class Work:
    """The state of one pass."""

    def __init__(
        self, program: Program, facts: Facts, results: Mapping[str, Result], proofs: Proofs, settled: bool = True
    ) -> None:
        self.program = program
        self.settled = settled  # whether what a hole reads is kept alive
        self.facts = facts
        self.results = results
        self.proofs = proofs
        self.activations = proofs.activations
        self.done: dict[str, Finished] = {}
        self.demanded: list[Demand] = []  # of functions that may have been translated before
        self.started: set[str] = set()
        self.scopes: dict[str, Scope] = {}
        self.unset: dict[tuple[str, str], Plain] = {}  # (config class, field that no config had) -> what is taken then
        self.stays_none: dict[tuple[str, str], bool] = {}  # attributes of classes that no constructor sets
        self.call = emit_call

    # -- what translations ask ---------------------------------------------------------------------------

    def scope(self, fid: str) -> Scope:
        """A function's scope with its folded parameters."""
        found = self.scopes.get(fid)
        if found is None:
            found = self.scopes[fid] = Scope(self, self.program.functions[fid])
            found.parts = held_apart(found)
            fold_parameters(found)
            found.result_vars = {k: v for k, v in result_variables(found).items() if k not in found.parts}
        return found

    def used(self, fid: str) -> frozenset[int]:
        """Which elements of a function's result count."""
        used = self.facts.used.get(fid, frozenset())
        result = self.results.get(fid)
        if ALL in used and result is not None:
            return frozenset(range(result.size))
        return used - {ALL}

    def is_single(self, fid: str) -> bool:
        """Whether a function gives a tuple of one, which somebody uses as a whole."""
        result = self.results.get(fid)
        return result is not None and result.size == 1 and ALL in self.facts.used.get(fid, frozenset())

    def kept(self, fid: str) -> list[str]:
        """The parameters that a function still has."""
        if fid in self.done:
            return self.done[fid].kept
        order = self.program.functions[fid].parameters
        kept = self.facts.kept.get(fid, frozenset())
        return cache_last(self.program, fid, [q for q in order if q in kept] + sorted(kept - set(order)))

    def vararg(self, fid: str) -> str:
        return self.done[fid].vararg if fid in self.done else ""

    def is_empty(self, fid: str) -> bool:
        return fid in self.done and not self.done[fid].body

    def finished(self, fid: str) -> Finished | None:
        return self.done.get(fid)

    def norm_of(self, cls: str) -> Norm | None:
        return self.proofs.norms.get(cls)

    @cached_property
    def stacks(self) -> Stacks:
        """Stacked experts that become layers; asked of the last pass only."""
        return stacks(self)

    @cached_property
    def always_given(self) -> frozenset[tuple[str, str]]:
        """Parameters whose default no call falls back on; asked of the last pass only."""
        return always_given(self)

    def is_replaced(self, cls: str) -> bool:
        return cls in self.proofs.norms

    def class_title(self, cls: str) -> str:
        """A class's name in the port."""
        if cls == self.program.trace.root:
            return "Model"
        found = self.program.cls(cls)
        return found.name if found is not None else cls.rpartition(":")[2]

    def is_in_class(self, fid: str) -> bool:
        """Whether a function is emitted inside its class; the call of a processor object becomes a plain function."""
        trace = self.program.functions[fid].trace
        return bool(trace.owner) and (self.program.is_module(trace.owner) or not self.is_processor(trace.owner))

    def is_processor(self, cls: str) -> bool:
        """A class of plain objects that are called, and that have no state which the call reads."""
        if self.is_autograd(cls):
            return True
        called = "" if self.program.is_module(cls) else self.program.method(cls, "__call__")
        return bool(called) and not reads_own_state(self.program.functions[called])

    def is_autograd(self, cls: str) -> bool:
        """A class of functions with a gradient of their own, of which the port has the function."""
        return "torch.autograd.function:Function" in self.program.lineage(cls)

    def function_title(self, fid: str) -> str:
        """A function's name in the port; the call method of an object becomes a function named after its class."""
        return self.namesakes.get(fid) or self.own_title(fid)

    def own_title(self, fid: str) -> str:
        trace = self.program.functions[fid].trace
        if trace.owner and not self.is_in_class(fid) and trace.name in ("__call__", "forward"):
            return snake(self.class_title(trace.owner))
        return "__call__" if trace.name == "forward" else trace.name

    @cached_property
    def namesakes(self) -> dict[str, str]:
        """Numbered names for functions outside classes that are called as another is, in another module."""
        found: dict[str, str] = {}
        taken: dict[str, int] = {}
        for fid, function in self.program.functions.items():
            if function.trace.entered and not self.is_in_class(fid):
                title = self.own_title(fid)
                taken[title] = taken.get(title, 0) + 1
                if taken[title] > 1:
                    found[fid] = f"{title}_{taken[title]}"
        return found

    def function_name(self, scope: Scope, fid: str) -> ast.expr:
        self.translate(fid)
        return ask(ast.Name(self.function_title(fid), ast.Load()), Demand("call", fid))

    # -- translating -------------------------------------------------------------------------------------

    def translate(self, fid: str) -> None:
        """Translate a function once per pass; a recursive call finds what the last pass said."""
        if fid in self.started:
            return
        self.started.add(fid)
        scope = self.scope(fid)
        replaced = self.proofs.body_of(scope)
        made = none_at_first(scope) + decorated(scope, block(scope, self.proofs.source_of(scope)))
        body = replaced if replaced is not None else swept(made)
        if scope.is_public and scope.trace.name != "__init__":
            body = swept([*arrivals(scope), *body])
        if scope.is_root_entry:
            body = [*asked_outputs(scope), *body]
        if scope.trace.name == "__init__":
            body = with_tied(scope, with_config_values(scope, self.with_registered(scope, body)))
        finished = Finished(fid, body, [], "", self.is_in_class(fid))
        finished.demands = [*demands_in(body), *unpack_demands(body), *dict.fromkeys(scope.relied)]
        settle_holes(scope, body, finished)
        body = without_markers(narrowed(body, self.used, self.is_single), finished)
        body = without_unread(
            without_overwritten(without_copies(swept(without_unread_parameters(without_repeated(folded(body))))))
        )
        body = renamed(scope, with_cached_attention(scope, body))
        finished.body = body
        finished.kept = self.kept_parameters(scope, body)
        vararg = scope.tree.args.vararg
        if vararg is not None and any(vararg.arg in loads(s) for s in body):
            finished.vararg = vararg.arg
        self.done[fid] = finished

    def kept_parameters(self, scope: Scope, body: list[ast.stmt]) -> list[str]:
        forced = self.facts.forced.get(scope.trace.fid, frozenset())
        read = {x for s in body for x in loads(s)} | forced
        if scope.is_root_entry:  # whoever calls the port gives what the reference takes, used or not
            read |= scope.program.trace.arguments - scope.folded.keys()
        fixed = {q for q in scope.entry_literals if is_assigned_first(body, q)}
        names = [q for q in scope.params if q in read and q != scope.self_name and q not in fixed]
        names += [q for q in scope.extra_params if q not in names and q in read]
        if scope.is_root_entry:
            names += [q for q in taken_by_decorators(scope) if q not in names]
        if scope.tree.args.kwarg is not None:  # what a fellow callee reads goes to its **kwargs
            names += [q for q in sorted(forced) if q not in names and q not in scope.params]
        return cache_last(self.program, scope.trace.fid, names)

    def with_registered(self, scope: Scope, body: list[ast.stmt]) -> list[ast.stmt]:
        """Constructor arguments that the class reads later through its library's registered config."""
        wanted = sorted(a for cls, a in self.facts.live if cls == f"{scope.trace.owner}#registered")
        made: list[ast.stmt] = []
        for name in wanted:
            if name in scope.params:
                source = scope.expr(ast.Name(name, ast.Load()))
                made.append(ast.Assign([ast.Attribute(ast.Name("self", ast.Load()), name, ast.Store())], source))
        at = 1 if body and ast.unparse(ast.fix_missing_locations(body[0])).startswith("super()") else 0
        return body[:at] + made + body[at:]


def with_config_values(scope: Scope, body: list[ast.stmt]) -> list[ast.stmt]:
    """Constructor arguments of the root that it assigns again: they start from the config's values."""
    if not scope.is_root_init or scope.program.trace.config_style == "object":
        return body
    read = {x for s in body for x in loads(s)}
    made: list[ast.stmt] = []
    for q in scope.params[1:]:
        if q in read and scope.reached_stores.get(q) != 1:
            value = ask(ast.Attribute(ast.Name("config", ast.Load()), q, ast.Load()), Demand("config", q))
            made.append(ast.Assign([ast.Name(q, ast.Store())], value))
    if (scope.trace.owner, "config") in scope.facts.live:
        made.append(ast.Assign([quote_store("config")], ast.Name("config", ast.Load())))
    at = 1 if body and ast.unparse(ast.fix_missing_locations(body[0])).startswith("super()") else 0
    return body[:at] + made + body[at:]


def asked_outputs(scope: Scope) -> list[ast.stmt]:
    """Refusals of calls that do not ask for the outputs that the port always gives."""
    text = "if not {0}:\n    raise NotImplementedError('not ported: {0} was seen one way only')"
    asked = [q for q in taken_by_decorators(scope) if q not in NO_OUTPUT]
    return [s for q in asked for s in ast.parse(text.format(q)).body]


def arrivals(scope: Scope) -> list[ast.stmt]:
    """Arguments of the root that the port holds channels-last throughout, brought into that layout."""
    made: list[ast.stmt] = []
    for q in scope.params:
        seen = scope.trace.params.get(q)
        if seen is None or "cl" not in seen.tags:
            continue
        if seen.kinds != {"tensor"} or seen.tags != {"cl"} or len(seen.ranks) != 1:
            raise HoleError(f"the argument {q} is sometimes channels-last, sometimes not")
        value = to_last(ast.Name(q, ast.Load()), next(iter(seen.ranks)))
        made.append(ast.Assign([ast.Name(q, ast.Store())], value))
    return made


def quote_store(attr: str) -> ast.expr:
    return ast.Attribute(ast.Name("self", ast.Load()), attr, ast.Store())


def snake(name: str) -> str:
    """`AttnProcessor2_0` as `attn_processor2_0`."""
    out = ""
    for i, c in enumerate(name):
        out += f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower()
    return out


def is_assigned_first(body: list[ast.stmt], name: str) -> bool:
    """Whether a name is assigned, whatever happens, before anything reads it."""
    for s in body:
        if name in loads(s):
            return False
        if isinstance(s, ast.Assign) and any(name in stores(t) for t in s.targets):
            return True
    return True


def unpack_demands(body: list[ast.stmt]) -> list[Demand]:
    """An unpacking uses the elements whose names something reads."""
    live = {x for s in body for x in loads(s)}
    out = []
    for s in body:
        for n in ast.walk(s):
            if isinstance(n, ast.Assign) and hasattr(n, "unpacks") and isinstance(n.targets[0], ast.Tuple):
                for i, t in enumerate(n.targets[0].elts):
                    if not isinstance(t, ast.Name) or stores(t) & live:
                        out += [Demand("used", f, i) for f in n.unpacks]
    return out


def settle_holes(scope: Scope, body: list[ast.stmt], finished: Finished) -> None:
    """Holes that survived the sweep: list them, and let assignments raise instead."""

    def settle(statements: list[ast.stmt]) -> None:
        for i, s in enumerate(statements):
            reason = getattr(s, "hole", "")
            source = s.exc.args[0].value if reason and isinstance(s, ast.Raise) else ""  # type: ignore[union-attr]
            if isinstance(s, ast.Assign) and hasattr(s.value, "hole"):
                reason, source = s.value.hole, s.value.args[0].value  # type: ignore[attr-defined]
                statements[i] = raised(source, reason, s.value.args[1:])  # type: ignore[attr-defined]
                statements[i].origin = getattr(s, "origin", 1)  # type: ignore[attr-defined]
            if reason:
                line = scope.trace.line + getattr(s, "origin", 1) - 1
                finished.holes.append(Hole(f"{scope.trace.fid.partition(':')[2]}:{line}", reason, source))
            for name in ("body", "orelse"):
                inner = getattr(s, name, None)
                if isinstance(inner, list):
                    settle(inner)

    settle(body)


def without_markers(body: list[ast.stmt], finished: Finished) -> list[ast.stmt]:
    """Collect the assumptions of surviving markers and guards; drop the markers."""
    out = []
    for s in body:
        assumption = getattr(s, "assumption", None)
        if assumption is not None:
            finished.assumptions.append(assumption)
        if hasattr(s, "marker"):
            continue
        for name in ("body", "orelse"):
            inner = getattr(s, name, None)
            if isinstance(inner, list):
                emptied = without_markers(inner, finished)
                if inner and not emptied and isinstance(s, ast.For):
                    break
                if inner and not emptied and name == "body":
                    emptied = [ast.Pass()]
                setattr(s, name, emptied)
        else:
            out.append(s)
    return out
