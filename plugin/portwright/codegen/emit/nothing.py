"""Attributes that were always None: whether their class's constructor says so, or refuses what would set them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from portwright.codegen.emit.configs import config_keys, holder
from portwright.codegen.emit.properties import is_computed
from portwright.codegen.emit.provenance import config_field, is_held, is_nested_config, is_self_attribute, settled
from portwright.codegen.emit.scope import Scope
from portwright.codegen.quote import is_none


def stays_none(scope: Scope, node: ast.Attribute | ast.Subscript) -> bool:
    """Whether every statement that sets an attribute of a module gives None, or is refused where it would not.

    A branch of the constructor that sets an attribute which the port takes for None keeps its own check.
    """
    from portwright.codegen.emit.names import holder_classes

    if not isinstance(node, ast.Attribute):
        return False
    classes = holder_classes(scope, node.value)
    if not classes or any(scope.program.is_torch(cls) for cls in classes):
        return False
    if node.attr not in scope.program.stored_attributes:
        return True  # what the class itself says: nothing that the port has sets it
    return all(sets_none(scope, cls, node.attr) for cls in classes)


def sets_none(scope: Scope, cls: str, attr: str) -> bool:
    known = scope.work.stays_none
    if (cls, attr) not in known:
        known[cls, attr] = all_none(scope, cls, attr)
    return known[cls, attr]


def all_none(scope: Scope, cls: str, attr: str) -> bool:
    program = scope.program
    found = False
    for owner in program.lineage(cls):
        for (at, _), fid in program.by_owner.items():
            if at != owner:
                continue
            inner = scope.work.scope(fid)
            for value, around in stores_of(inner, attr):
                found = True
                if fid not in program.constructing or not gives_none(inner, value, around):
                    return False
    return found


def gives_none(scope: Scope, value: ast.expr, around: tuple[ast.If, ...]) -> bool:
    """None itself; a choice, checked where it stands; or what no run reached, behind a test that is checked."""
    if is_none(value):
        return True
    if isinstance(value, ast.IfExp):
        return is_none(value.body) or is_none(value.orelse)
    if not scope.seen(value).n:
        return any(len(scope.truth(s.test)) == 1 for s in around)
    return scope.seen(value).always_none and settled(scope, value)


def stores_of(scope: Scope, attr: str) -> Iterator[tuple[ast.expr, tuple[ast.If, ...]]]:
    """What is stored in an attribute of self, and the branches that each store stands in."""

    def walk(body: list[ast.stmt], around: tuple[ast.If, ...]) -> Iterator[tuple[ast.expr, tuple[ast.If, ...]]]:
        for s in body:
            if isinstance(s, ast.Assign) and any(is_self_attribute(scope, t, attr) for t in s.targets):
                yield s.value, around
            inner = (*around, s) if isinstance(s, ast.If) else around
            for part in ("body", "orelse", "finalbody"):
                if not isinstance(s, (ast.FunctionDef, ast.ClassDef)):
                    yield from walk(getattr(s, part, []), inner)

    yield from walk(scope.tree.body, ())


def none_at_first(scope: Scope, node: ast.expr) -> ast.expr | None:
    """A config field that code assigns, read only where it still was None: a config must say so at construction."""
    field = config_field(scope, node) if isinstance(node, ast.Attribute) else ""
    if not field or field not in scope.program.changed_fields or is_nested_config(scope):
        return None
    assert isinstance(node, ast.Attribute)
    if not is_held(scope, node, field) or is_computed(scope.program.trace, config_keys(scope, node.value)[0], field):
        return None
    return ast.Attribute(holder(scope, node.value), field, ast.Load())
