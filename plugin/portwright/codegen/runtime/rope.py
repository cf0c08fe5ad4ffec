"""Rotary positions in a port for mlx-lm: frequencies once, positions from each layer's cache."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.idioms.rope import Rope, rotation_of
from portwright.codegen.program import Function, Program
from portwright.codegen.quote import loads, quote, stores
from portwright.codegen.runtime.caches import is_cache, loops
from portwright.codegen.runtime.unscaled import is_plain
from portwright.codegen.translate.decorators import observed_rope_types

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope
    from portwright.codegen.emit.work import Work

FREQUENCIES, SCALE = "freqs", "attention_scaling"


def usable(program: Program, rope: Rope) -> Rope:
    """The proved rotations, if each is called in a layer that has its cache, on a cos and sin made for it alone."""
    if program.runtime != "mlx-lm" or any(
        "dynamic" in k or k == "longrope" for k in observed_rope_types(program.trace)
    ):
        return Rope()  # frequencies that depend on the positions stay with them
    for function in program.functions.values():
        if function.trace.entered and not all(fits(program, function, s, rope) for s in ast.walk(function.tree)):
            return Rope()
    return dataclasses.replace(rope, plain=is_plain(program, rope))


def fits(program: Program, function: Function, node: ast.AST, rope: Rope) -> bool:
    """Whether a call of a rotation (if it is one) can be replaced where it stands."""
    if not isinstance(node, ast.Call) or not rotation_of(function, node, rope):
        return True
    if function.trace.fid in loops(program) or len(caches_of(program, function)) != 1:
        return False
    if len(node.args) < 4 or any(isinstance(a, ast.Starred) for a in node.args):
        return False
    first, second, cos, sin = node.args[:4]
    if not (isinstance(first, ast.Name) and isinstance(second, ast.Name)):
        return False
    if not (isinstance(cos, ast.Name) and isinstance(sin, ast.Name)):
        return False
    reads = [n.id for n in ast.walk(function.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    calls = [n for n in ast.walk(function.tree) if isinstance(n, ast.Call) and rotation_of(function, n, rope)]
    return reads.count(cos.id) == reads.count(sin.id) == len(calls)


def caches_of(program: Program, function: Function) -> list[str]:
    return [q for q, seen in function.trace.params.items() if is_cache(program, seen)]


def rotated(scope: Scope, n: ast.Call) -> ast.Tuple | None:
    """A call of a proved rotation: queries and keys, each through MLX's kernel; None for any other call."""
    rope = scope.work.proofs.rope
    fid = rotation_of(scope.function, n, rope)
    if not fid:
        return None
    cache = ast.Name(caches_of(scope.program, scope.function)[0], ast.Load())
    parts: list[ast.expr] = [one(scope, x, n, cache, rope.rotations[fid]) for x in n.args[:2]]
    return ast.Tuple(parts, ast.Load())


def one(scope: Scope, x: ast.expr, n: ast.Call, cache: ast.expr, paired: bool) -> ast.expr:
    freqs, scale = [scope.expr(a) for a in n.args[2:4]]
    title = "rotate_pairs" if paired else "rotate"
    if scope.work.proofs.rope.plain:
        made = quote(f"{title}(x, f, c)", x=scope.expr(x), f=freqs, c=cache)
    else:
        title += "_scaled"
        made = quote(f"{title}(x, f, s, c)", x=scope.expr(x), f=freqs, s=scale, c=cache)
    return ask(made, Demand("snippet", title))


def table_body(scope: Scope) -> list[ast.stmt] | None:
    """The body of a forward that gave cos and sin: the frequencies and the scale instead."""
    from portwright.codegen.emit.statements import block

    found = scope.work.proofs.rope.tables.get(scope.trace.fid)
    if found is None:
        return None
    vector, scale = found
    needed = {n.id for part in found if part is not None for n in ast.walk(part) if isinstance(n, ast.Name)}
    before: list[ast.stmt] = [
        s
        for s in scope.tree.body
        if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and s.targets[0].id in needed
    ]
    body = block(scope, before)
    scaled = ast.Constant(1.0) if scale is None or scope.work.proofs.rope.plain else scope.expr(scale)
    freqs = quote("1 / f", f=scope.expr(vector))
    made = ast.Return(freqs if scope.work.proofs.rope.plain else ast.Tuple([freqs, scaled], ast.Load()))
    made.origin = scope.tree.body[-1].lineno  # type: ignore[attr-defined]
    return [*body, made]


def given_tables(work: Work) -> dict[str, str]:
    """Parameters that hold frequencies where the reference's held cos and sin, and the module that makes them ("" for
    one that has to be told more)."""
    rope, program = work.proofs.rope, work.program
    names: set[str] = set()
    for function in program.functions.values():
        pairs = [
            {a.id for a in n.args[2:4] if isinstance(a, ast.Name)}
            for n in ast.walk(function.tree)
            if isinstance(n, ast.Call) and rotation_of(function, n, rope)
        ]
        for s in ast.walk(function.tree):
            if not (isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Tuple)):
                continue
            if isinstance(s.value, ast.Name) and any(stores(s.targets[0]) == pair for pair in pairs):
                names.add(s.value.id)
    makers = [
        m.path
        for m in program.trace.models[0].modules
        if program.method(m.cls, "forward") in rope.tables and not work.kept(program.method(m.cls, "forward"))
    ]
    return dict.fromkeys(names, makers[0] if len(makers) == 1 and len(rope.tables) == 1 else "")


def renamed(scope: Scope, body: list[ast.stmt]) -> list[ast.stmt]:
    """In a layer, what was cos and sin is called what it is now."""
    rope = scope.work.proofs.rope
    for node in ast.walk(scope.tree):
        if isinstance(node, ast.Call) and rotation_of(scope.function, node, rope):
            pair = [a.id for a in node.args[2:4] if isinstance(a, ast.Name)]
            if rope.plain:
                return handed_on(body, set(pair))
            taken = {x for s in body for x in loads(s)} | set(scope.params)
            if set(pair) & set(scope.params) or taken & {FREQUENCIES, SCALE}:
                continue
            names = dict(zip(pair, (FREQUENCIES, SCALE), strict=True))
            for statement in body:
                for n in ast.walk(statement):
                    if isinstance(n, ast.Name):
                        n.id = names.get(n.id, n.id)
    return body


def handed_on(body: list[ast.stmt], pair: set[str]) -> list[ast.stmt]:
    """In a layer, `cos, sin = given` goes where `given` is the frequencies themselves."""
    for s in body:
        if not (isinstance(s, ast.Assign) and isinstance(s.value, ast.Name) and isinstance(s.targets[0], ast.Tuple)):
            continue
        if stores(s.targets[0]) <= {*pair, "_"}:
            names = dict.fromkeys(pair, s.value.id)
            for n in (n for other in body for n in ast.walk(other) if isinstance(n, ast.Name)):
                n.id = names.get(n.id, n.id)
            return [other for other in body if other is not s]
    return body
