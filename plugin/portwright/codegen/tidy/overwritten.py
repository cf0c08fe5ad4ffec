"""Values that are bound for nothing: bound again before anything reads them, or never read again."""

from __future__ import annotations

import ast

from portwright.codegen.quote import loads, stores

PLAIN = (ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.expr_context)


def without_overwritten(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements without `x = None` that nothing reads, and without the unread half of `x, y = a, b`."""
    body = [narrowed(s, body[i + 1 :]) for i, s in enumerate(body)]
    kept = []
    for i, s in enumerate(body):
        if not is_for_nothing(s, body[i + 1 :]):
            kept.append(s)
        elif isinstance(s.targets[0], ast.Attribute) and hasattr(s, "origin"):  # type: ignore[attr-defined]
            body[i + 1].origin = s.origin  # type: ignore[attr-defined]  # what its comment says is true of the next
    return kept


def is_for_nothing(s: ast.stmt, later: list[ast.stmt]) -> bool:
    """Whether a statement only binds a plain value to a name, or an attribute, that is bound again first."""
    if not (isinstance(s, ast.Assign) and len(s.targets) == 1 and all(isinstance(n, PLAIN) for n in ast.walk(s.value))):
        return False
    target = s.targets[0]
    if isinstance(target, ast.Name):
        return is_unread(target.id, later)
    return isinstance(target, ast.Attribute) and bool(later) and is_bound_again(target, later[0])


def is_unread(name: str, later: list[ast.stmt]) -> bool:
    """Whether nothing after a statement of a function's own level sees what it gave a name."""
    for s in later:
        if name in loads(s) or adds_to(name, s):
            return False
        if isinstance(s, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in s.targets):
            return True
    return True


def adds_to(name: str, s: ast.stmt) -> bool:
    return any(isinstance(n, ast.AugAssign) and name in stores(n.target) for n in ast.walk(s))


def is_bound_again(target: ast.Attribute, s: ast.stmt) -> bool:
    """Whether the next statement gives `self.x` another value without a call that could read it."""
    if not (isinstance(s, ast.Assign) and [ast.unparse(t) for t in s.targets] == [ast.unparse(target)]):
        return False
    return not any(
        isinstance(n, ast.Call) or (isinstance(n, ast.Attribute) and n.attr == target.attr) for n in ast.walk(s.value)
    )


def narrowed(s: ast.stmt, later: list[ast.stmt]) -> ast.stmt:
    """`x, y = a[:1], a[1:]` as `x = a[:1]` where nothing reads y; calls stay, whatever they do."""
    if not (isinstance(s, ast.Assign) and len(s.targets) == 1):
        return s
    target, value = s.targets[0], s.value
    if not (isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts)):
        return s
    if any(isinstance(e, ast.Starred) for e in (*target.elts, *value.elts)):
        return s
    kept = [
        (t, v)
        for t, v in zip(target.elts, value.elts, strict=True)
        if not (isinstance(t, ast.Name) and is_unread(t.id, later)) or any(isinstance(n, ast.Call) for n in ast.walk(v))
    ]
    if len(kept) == len(target.elts) or not kept or stores(target) & loads(value):
        return s
    targets, values = [list(side) for side in zip(*kept, strict=True)]
    one = len(kept) == 1
    s.targets = [targets[0] if one else ast.Tuple(targets, ast.Store())]
    s.value = values[0] if one else ast.Tuple(values, ast.Load())
    return s
