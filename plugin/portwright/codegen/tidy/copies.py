"""Small rewrites on finished bodies: copies of names, values named only to be returned, unread loop counters."""

from __future__ import annotations

import ast
from collections import Counter


def without_copies(body: list[ast.stmt]) -> list[ast.stmt]:
    """Rename away plain copies, then `x = e; return x` is `return e`."""
    while True:
        renamed = one_copy_less(body)
        if renamed is None:
            break
        body = renamed
    for s in body:
        for n in ast.walk(s):
            if isinstance(n, ast.For):
                uncount(n, body)
    return returned_at_once(body)


def counts(body: list[ast.stmt]) -> tuple[Counter[str], Counter[str]]:
    """How often each name is bound and read."""
    stored: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for s in body:
        for n in ast.walk(s):
            if isinstance(n, ast.Name):
                (read if isinstance(n.ctx, ast.Load) else stored)[n.id] += 1
            if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name):
                stored[n.target.id] += 1
            if isinstance(n, ast.arg):
                stored[n.arg] += 2  # parameters of lambdas and inner functions hide outer names
    return stored, read


def one_copy_less(body: list[ast.stmt]) -> list[ast.stmt] | None:
    """Remove one top-level `y = x` where the two names never mean different values; None where there is none."""
    stored, read = counts(body)
    top: Counter[str] = Counter()
    for i, s in enumerate(body):
        if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name):
            x = s.value
            y = s.targets[0].id
            if isinstance(x, ast.Name) and y != x.id and stored[y] == 1:
                own = top[x.id]
                if own == 1 == stored[x.id] and read[x.id] == 1:
                    return renamed(body[:i] + body[i + 1 :], x.id, y)  # x was only a first name for y
                if stored[x.id] == own and own <= 1 and not stored_later(body[i + 1 :], x.id):
                    return renamed(body[:i] + body[i + 1 :], y, x.id)
        if isinstance(s, ast.Assign):
            for t in s.targets:
                for n in ast.walk(t):
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
                        top[n.id] += 1
    return None


def stored_later(body: list[ast.stmt], name: str) -> bool:
    return counts(body)[0][name] > 0


def renamed(body: list[ast.stmt], old: str, new: str) -> list[ast.stmt]:
    for s in body:
        for n in ast.walk(s):
            if isinstance(n, ast.Name) and n.id == old:
                n.id = new
    return body


def uncount(loop: ast.For, body: list[ast.stmt]) -> None:
    """`for i, x in enumerate(xs)` with i unread is `for x in xs`."""
    counter = getattr(loop, "counter", "")
    if counter and counts(body)[1][counter] == 0:
        assert isinstance(loop.target, ast.Tuple) and isinstance(loop.iter, ast.Call)
        loop.target, loop.iter = loop.target.elts[1], loop.iter.args[0]
        del loop.counter  # type: ignore[attr-defined]


def returned_at_once(body: list[ast.stmt]) -> list[ast.stmt]:
    """`x = e; return x` is `return e`."""
    if len(body) > 1 and isinstance(body[-1], ast.Return) and isinstance(body[-1].value, ast.Name):
        before = body[-2]
        if (
            isinstance(before, ast.Assign)
            and len(before.targets) == 1
            and isinstance(before.targets[0], ast.Name)
            and before.targets[0].id == body[-1].value.id
        ):
            made = ast.Return(before.value)
            made.origin = getattr(before, "origin", 1)  # type: ignore[attr-defined]
            return [*body[:-2], made]
    return body
