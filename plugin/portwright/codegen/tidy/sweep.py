"""Remove what nothing reads. A name is live if something that matters reads it, so self-feeding updates go too."""

from __future__ import annotations

import ast

from portwright.codegen.quote import loads, stores

CHANGES = frozenset({"append", "extend", "insert", "update", "setdefault", "add"})


def swept(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that matter, to a fixpoint."""
    while True:
        before = sum(1 for s in body for _ in ast.walk(s))
        body = kept_statements(body, live_names(body))
        if sum(1 for s in body for _ in ast.walk(s)) == before:
            return body


def live_names(body: list[ast.stmt]) -> set[str]:
    """Names whose value reaches a return, an attribute, an effect or a refusal."""
    roots: set[str] = set()
    feeds: list[tuple[set[str], set[str]]] = []  # (if one of these is live, so are those)

    def walk(statements: list[ast.stmt], control: set[str]) -> None:
        for s in statements:
            visit(s, control)

    def visit(s: ast.stmt, control: set[str]) -> None:
        if hasattr(s, "bound"):
            feeds.append((set(s.bound), loads(s) | control))
            if s.effects:  # type: ignore[attr-defined]
                roots.update(loads(s))
        elif isinstance(s, (ast.Assign, ast.AugAssign)):
            targets = s.targets if isinstance(s, ast.Assign) else [s.target]
            bound = {x for t in targets for x in targets_of(t)}
            plain = all(is_local(t) for t in targets)
            needs = loads(s) | control
            if plain:
                feeds.append((bound, needs))
            else:
                roots.update(needs)
        elif isinstance(s, ast.If):
            inner = control | loads(s.test)
            walk(s.body, inner)
            walk(s.orelse, inner)
        elif isinstance(s, ast.For):
            feeds.append((stores(s.target), loads(s.iter) | control))
            walk(s.body, control | loads(s.iter))
        elif isinstance(s, ast.While):
            walk(s.body, control | loads(s.test))
        elif isinstance(s, ast.FunctionDef):
            feeds.append(({s.name}, loads(ast.Module(s.body, []))))
        elif is_change(s):
            feeds.append(({s.value.func.value.id}, loads(s) | control))  # type: ignore[attr-defined]
        else:
            roots.update(loads(s) | control)

    walk(body, set())
    while True:
        new = {x for bound, needs in feeds if bound & roots for x in needs} - roots
        if not new:
            return roots
        roots |= new


def is_local(target: ast.expr) -> bool:
    if isinstance(target, ast.Name):
        return True
    if isinstance(target, ast.Starred):
        return is_local(target.value)
    if isinstance(target, ast.Tuple):
        return all(is_local(e) for e in target.elts)
    return isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name)


def is_change(s: ast.stmt) -> bool:
    """`xs.append(x)` of a local name."""
    if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and isinstance(s.value.func, ast.Attribute)):
        return False
    f = s.value.func
    return f.attr in CHANGES and isinstance(f.value, ast.Name)


def kept_statements(body: list[ast.stmt], live: set[str]) -> list[ast.stmt]:
    out: list[ast.stmt] = []
    for s in body:
        if hasattr(s, "bound"):
            if s.effects or s.bound & live:  # type: ignore[attr-defined]
                out.append(s)
            continue
        if is_dead(s, live):
            continue
        if isinstance(s, (ast.If, ast.For, ast.While)):
            s.body = kept_statements(s.body, live)
            s.orelse = kept_statements(s.orelse, live)
            if not s.body:
                if not (isinstance(s, ast.If) and s.orelse):
                    continue
                s.test, s.body, s.orelse = ast.UnaryOp(ast.Not(), s.test), s.orelse, []
        if isinstance(s, ast.FunctionDef):
            s.body = kept_statements(s.body, live | live_names(s.body)) or [ast.Pass()]
        out.append(s)
        if isinstance(s, (ast.Return, ast.Raise, ast.Continue, ast.Break)) and not hasattr(s, "hole"):
            break
    return out


def is_dead(s: ast.stmt, live: set[str]) -> bool:
    """A statement that only binds names which nothing reads."""
    if isinstance(s, ast.Assign):
        if (
            len(s.targets) == 1
            and isinstance(s.targets[0], ast.Name)
            and isinstance(s.value, ast.Name)
            and s.value.id == s.targets[0].id
        ):
            return True
        if len(s.targets) == 1 and isinstance(s.value, ast.Tuple) and same_names(s.targets[0], s.value):
            return True
        return all(is_local(t) and not targets_of(t) & live for t in s.targets)
    if isinstance(s, ast.AugAssign):
        return is_local(s.target) and not targets_of(s.target) & live
    if isinstance(s, ast.FunctionDef):
        return s.name not in live
    if is_change(s):
        return s.value.func.value.id not in live  # type: ignore[attr-defined]
    return False


def same_names(target: ast.expr, value: ast.Tuple) -> bool:
    """`a, b = a, b`."""
    return (
        isinstance(target, ast.Tuple)
        and all(isinstance(e, ast.Name) for e in (*target.elts, *value.elts))
        and [e.id for e in target.elts] == [e.id for e in value.elts]  # type: ignore[attr-defined]
    )


def targets_of(target: ast.expr) -> set[str]:
    """The local names that a target binds, or changes an item of."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return {x for e in target.elts for x in targets_of(e)}
    if isinstance(target, ast.Starred):
        return targets_of(target.value)
    if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
        return {target.value.id}
    return stores(target)
