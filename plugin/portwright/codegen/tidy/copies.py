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
                new = counts(body[:i])[1][y] == 0  # else it was a parameter, read before
                if own == 1 == stored[x.id] and read[x.id] == 1 and not read_since(body[:i], x.id, y):
                    return renamed(body[:i] + body[i + 1 :], x.id, y)  # x was only a first name for y
                if new and stored[x.id] == own and own <= 1 and not stored_later(body[i + 1 :], x.id):
                    return renamed(body[:i] + body[i + 1 :], y, x.id)
                last = own and stored[x.id] == own and is_returned(body, y)
                if new and last and not stored_later(body[i + 1 :], x.id):
                    return renamed(body[:i] + body[i + 1 :], y, x.id)  # y was only a last name for x
        if i and isinstance(s, ast.Assign) and is_copy(s) and only_first(body[i - 1], s, stored, read):
            return renamed_first(body, i)
        if isinstance(s, ast.Assign):
            for t in s.targets:
                for n in ast.walk(t):
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
                        top[n.id] += 1
    return None


def read_since(body: list[ast.stmt], bound: str, name: str) -> bool:
    """Whether a name is read behind the statement that binds another."""
    first = next((i for i, s in enumerate(body) if counts([s])[0][bound]), len(body))
    return counts(body[first + 1 :])[1][name] > 0


def is_copy(s: ast.Assign) -> bool:
    """`y = x` of two names, or `self.y = x`."""
    target = s.targets[0]
    own = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
    return len(s.targets) == 1 and (isinstance(target, ast.Name) or own) and isinstance(s.value, ast.Name)


def only_first(before: ast.stmt, s: ast.Assign, stored: Counter[str], read: Counter[str]) -> bool:
    """Whether `x = e` stands right before `y = x`, and x is read nowhere else."""
    if not (isinstance(before, ast.Assign) and len(before.targets) == 1 and isinstance(before.targets[0], ast.Name)):
        return False
    name = s.value.id  # type: ignore[attr-defined]
    return before.targets[0].id == name and stored[name] == 1 == read[name]


def renamed_first(body: list[ast.stmt], i: int) -> list[ast.stmt]:
    """`x = e; y = x` as `y = e`."""
    body[i - 1].targets = body[i].targets  # type: ignore[attr-defined]
    return body[:i] + body[i + 1 :]


def is_returned(body: list[ast.stmt], name: str) -> bool:
    """Whether a name is read in the last statement only, which returns it."""
    return isinstance(body[-1], ast.Return) and counts(body)[1][name] == counts(body[-1:])[1][name]


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
