"""Parameters that every call in the port gives: a default that nothing falls back on says what is not so."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portwright.codegen.emit.work import Work


def always_given(work: Work) -> frozenset[tuple[str, str]]:
    """(function, parameter) of each function whose every mention in the port is a call that names or places it."""
    emitted = {*work.facts.called, work.program.trace.entry, work.program.trace.init}
    given: dict[str, list[set[str]]] = {}
    unknown: set[str] = set()
    for fid in emitted & work.done.keys():
        for statement in work.done[fid].body:
            called = {id(n.func): fids_of(n) for n in ast.walk(statement) if isinstance(n, ast.Call)}
            for node in ast.walk(statement):
                for callee in fids_of(node):
                    if isinstance(node, ast.Call):
                        given.setdefault(callee, []).append(names_given(work, callee, node, unknown))
                    elif callee not in called.get(id(node), ()):
                        unknown.add(callee)  # handed on as a value
    roots = (work.program.trace.entry, work.program.trace.init)
    return frozenset(
        (fid, q)
        for fid, calls in given.items()
        if fid not in unknown and fid not in roots
        for q in set.intersection(*calls)
    )


def fids_of(node: ast.AST) -> list[str]:
    return [d.a for d in getattr(node, "demands", ()) if d.kind == "call"]


def names_given(work: Work, fid: str, call: ast.Call, unknown: set[str]) -> set[str]:
    """What one call gives; a call that unpacks something makes its callee unknown."""
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        unknown.add(fid)
    kept = work.kept(fid)
    if len(call.args) > len(kept):
        unknown.add(fid)
    return {*kept[: len(call.args)], *[k.arg for k in call.keywords if k.arg is not None]}
