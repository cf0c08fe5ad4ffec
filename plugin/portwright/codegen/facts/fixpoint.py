"""Repeat passes until the facts stop growing: what is used, live, kept, and given at call sites."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from portwright.codegen.emit.work import Work
from portwright.codegen.facts.record import ALL, Demand, Facts
from portwright.codegen.facts.returns import Result, result_shapes
from portwright.codegen.idioms.proofs import Proofs
from portwright.codegen.program import Program
from portwright.errors import ExitCode, PortError, Problem

PASSES = 40
K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


def solve(program: Program, proofs: Proofs) -> Work:
    """The last pass over the program, made under facts that it confirms."""
    results = result_shapes(program)
    trace = program.trace
    roots = [f for f in (trace.entry, trace.init) if f in program.functions]
    facts = Facts(used={trace.entry: given_out(program, results)})
    settled = False  # a hole of an early pass may be none later: until then it keeps nothing alive
    for _ in range(PASSES):
        work = Work(program, facts, results, proofs, settled)
        for root in roots:
            work.translate(root)
        grown = merged(program, facts, work)
        if grown == facts and (settled or not any(f.holes for f in work.done.values())):
            work.facts = dataclasses.replace(facts, called=still_called(work, roots))
            return work
        settled |= grown == facts
        facts = grown
    raise PortError(Problem(trace.reference, f"its facts did not settle in {PASSES} passes"), ExitCode.HOLES)


def still_called(work: Work, roots: list[str]) -> frozenset[str]:
    """What is called, without the plain functions that only an earlier pass called, which knew less."""
    reached: set[str] = set()
    pending = [*roots, *(f for f in work.facts.called if work.is_in_class(f))]
    while pending:
        fid = pending.pop()
        if fid in reached or fid not in work.done:
            continue
        reached.add(fid)
        pending += [d.a for d in work.done[fid].demands if d.kind == "call"]
    return frozenset(f for f in work.facts.called if f in reached or work.is_in_class(f))


# Decorators that take a field out of the result, unless it is asked for.
FILTERS = {"transformers.backbone_utils.filter_output_hidden_states": "hidden_states"}


def given_out(program: Program, results: Mapping[str, Result]) -> frozenset[int]:
    """The elements of its result that the root gives to whoever calls it."""
    entry = program.functions.get(program.trace.entry)
    result = results.get(program.trace.entry)
    taken = {FILTERS.get(d) for d in entry.trace.decorators} if entry is not None else set()
    if result is None or not taken & set(result.keys):
        return frozenset({ALL})
    return frozenset(i for i, key in enumerate(result.keys) if key not in taken)


def merged(program: Program, facts: Facts, work: Work) -> Facts:
    """The facts with what one pass demanded added."""
    demands = [*work.demanded, *[d for f in work.done.values() for d in f.demands]]
    used = grouped(union(facts.used, ((d.a, d.b) for d in of(demands, "used"))), of(demands, "group"))
    live = set(facts.live)
    for d in of(demands, "live"):
        live |= {(cls, d.b) for cls in program.lineage(d.a)}
    for d in of(demands, "none"):
        live |= {(f"{cls}#none", d.b) for cls in program.lineage(d.a)}
    for d in of(demands, "registered"):
        for cls in program.lineage(d.a):
            live |= {(cls, d.b), (f"{cls}#registered", d.b)}
    kept = union(facts.kept, ((fid, q) for fid, f in work.done.items() for q in f.kept))
    forced = union(facts.forced, ((d.a, q) for d in of(demands, "forced") for q in d.b))
    return Facts(
        used=used,
        live=frozenset(live),
        names=facts.names | {d.a for d in of(demands, "name")},
        kept=kept,
        forced=forced,
        args=union(facts.args, (((d.a, d.b), d.c) for d in of(demands, "arg"))),
        origins=union({}, (((d.a, d.b), d.c) for d in of(demands, "origin"))),
        behind=union(facts.behind, (((d.a, d.b), field) for d in of(demands, "behind") for field in d.c)),
        guards=facts.guards | {(d.a, d.b) for d in of(demands, "guard")},
        chosen=facts.chosen | {(d.a, d.b) for d in of(demands, "chosen")},
        called=facts.called | {d.a for d in of(demands, "call")},
        classes=ordered(facts.classes, (d.a for d in of(demands, "class"))),
        config=ordered(facts.config, config_fields(program, facts, work)),
    )


def config_fields(program: Program, facts: Facts, work: Work) -> Iterable[tuple[str, str]]:
    """The config fields that emitted functions read; those of one that nothing calls are not in the file."""
    emitted = {*facts.called, program.trace.entry, program.trace.init}
    for fid, f in work.done.items():
        if fid in emitted or f.inlinable:
            yield from ((d.b or "", d.a) for d in of(f.demands, "config"))


def of(demands: Iterable[Demand], kind: str) -> list[Demand]:
    return [d for d in demands if d.kind == kind]


def union(old: Mapping[K, frozenset[V]], new: Iterable[tuple[K, V]]) -> dict[K, frozenset[V]]:
    out = {k: set(v) for k, v in old.items()}
    for k, v in new:
        out.setdefault(k, set()).add(v)
    return {k: frozenset(v) for k, v in out.items()}


def grouped(used: dict[str, frozenset[int]], groups: list[Demand]) -> dict[str, frozenset[int]]:
    """Functions that share a call site return the same elements."""
    for _ in range(4):
        for group in groups:
            both = frozenset().union(*[used.get(f, frozenset()) for f in group.a])
            used = {**used, **dict.fromkeys(group.a, both)}
    return used


def ordered(old: tuple[K, ...], new: Iterable[K]) -> tuple[K, ...]:
    return tuple(dict.fromkeys((*old, *new)))
