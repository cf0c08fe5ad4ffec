"""What arrives through `**kwargs`: named from here on, with the default that counts where a call leaves it out.

In a port such a name is a parameter whose default is None, which stands for "not given".
"""

from __future__ import annotations

import ast

from portwright.codegen.emit.scope import Scope, keyword_name
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import is_literal, literal, quote, stores


def is_own(scope: Scope, node: ast.expr) -> bool:
    """Whether a name is the function's own `**kwargs`."""
    a = scope.tree.args
    return isinstance(node, ast.Name) and a.kwarg is not None and node.id == a.kwarg.arg


def with_default(scope: Scope, title: str, value: ast.expr, default: ast.expr) -> ast.expr:
    """A keyword's value, or a default where some calls leave the keyword out."""
    if title not in scope.trace.sometimes or title in scope.defaulted:
        return value
    if isinstance(default, ast.Constant) and default.value is None:
        return value
    return quote("x if x is not None else y", x=value, y=default)


def keyword_item(scope: Scope, n: ast.Call) -> ast.expr | None:
    """`kwargs.get("x", default)`: the argument x under its own name, or the default where it never arrives."""
    f = n.func
    if not (isinstance(f, ast.Attribute) and is_own(scope, f.value) and f.attr in ("get", "pop")):
        return None
    if not n.args or not isinstance(n.args[0], ast.Constant):
        return None
    title = str(n.args[0].value)
    default = scope.expr(n.args[1]) if len(n.args) > 1 else ast.Constant(None)
    if title not in scope.trace.starred:
        return default
    given = with_default(scope, title, keyword_name(scope, title), default)
    if isinstance(given, ast.IfExp) and "none" in scope.kinds(n):
        raise HoleError(f"the keyword {title} is None in one call, and left out in another")
    return given


def set_default(scope: Scope, n: ast.Call) -> list[ast.stmt]:
    """`kwargs.setdefault("x", default)`: the default from then on."""
    if len(n.args) != 2 or not isinstance(n.args[0], ast.Constant):
        raise HoleError("a default of a keyword with a computed name")
    title, default = str(n.args[0].value), scope.expr(n.args[1])
    if title in scope.trace.starred and title not in scope.trace.sometimes:
        return []
    arrives = title in scope.trace.starred
    value = with_default(scope, title, keyword_name(scope, title), default) if arrives else default
    if not arrives:
        keyword_name(scope, title)
    scope.defaulted.add(title)
    return [ast.Assign([ast.Name(title, ast.Store())], value)]


def set_keyword(scope: Scope, t: ast.Subscript, value: ast.expr) -> list[ast.stmt]:
    """`kwargs["x"] = value`: a local name from then on."""
    if scope.nested or not isinstance(t.slice, ast.Constant) or str(t.slice.value) in scope.params:
        raise HoleError("a keyword is set in some calls only, or under a computed name")
    title = str(t.slice.value)
    scope.defaulted.add(title)
    return [ast.Assign([ast.Name(title, ast.Store())], value)]


def spread(scope: Scope, n: ast.Call, dynamic: list[ast.expr]) -> list[ast.keyword]:
    """`**self.options` that brought nothing in any run: another config may put something in it."""
    if scope.seen(n).starred:
        return []
    return [ast.keyword(None, scope.expr(value)) for value in dynamic if is_held(scope, value)]


def is_held(scope: Scope, value: ast.expr) -> bool:
    """Whether a dict is an attribute of a module or config, or a local name for one."""
    if isinstance(value, ast.Name) and scope.reached_stores.get(value.id) == 1 and value.id not in scope.params:
        made = [s.value for s in scope.function.nodes if isinstance(s, ast.Assign) and value.id in stores(s.targets[0])]
        value = made[0] if len(made) == 1 else value
    return isinstance(value, ast.Attribute) and scope.kinds(value) == {"dict"}


def passed_on(scope: Scope, title: str, value: ast.expr, defaults: dict[str, object]) -> ast.expr:
    """A keyword that goes on through `**kwargs` to what has a default of its own."""
    if not isinstance(value, ast.Name) or title not in defaults:
        return value
    made = literal(defaults[title])
    return with_default(scope, title, value, made) if is_literal(made) else value
