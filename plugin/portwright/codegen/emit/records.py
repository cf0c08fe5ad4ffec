"""Objects that only hold values, made by a constructor: which field of the config each of their attributes is.

`settings = SimpleNamespace(act=act, eps=eps)` and a dataclass of the reference's own are traced as a call of a name
that no code has, with a keyword for each attribute whose value is known.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

RECORD = "__record__"
OPEN = frozenset({("types", "SimpleNamespace"), ("argparse", "Namespace")})  # they take keywords of any name


def record_of(scope: Scope, node: ast.Call, depth: int) -> ast.expr | None:
    """A constructor's call with what each attribute is made of; None for a call of anything else."""
    from portwright.codegen.emit.provenance import rewritten

    callees = scope.seen(node).callees
    if len(callees) != 1 or callees[0].sort != "class":
        return None
    cls = scope.program.cls(callees[0].cls)
    fields = cls.fields if cls is not None else ()
    if not fields and (callees[0].module, callees[0].name) not in OPEN:
        return None
    given = dict(zip(fields, node.args, strict=False)) | {k.arg: k.value for k in node.keywords if k.arg is not None}
    if any(isinstance(a, ast.Starred) for a in node.args):
        return None
    made = [(name, rewritten(scope, value, depth + 1)) for name, value in given.items()]
    return ast.Call(ast.Name(RECORD, ast.Load()), [], [ast.keyword(name, v) for name, v in made if v is not None])


def record_field(scope: Scope, node: ast.Attribute, depth: int) -> ast.expr | None:
    """`settings.act` as the expression over config fields that it was made of, where nothing sets it later."""
    from portwright.codegen.emit.provenance import rewritten

    if "" in scope.program.stored_on.get(node.attr, frozenset()):
        return None
    held = rewritten(scope, node.value, depth + 1)
    if not is_record(held):
        return None
    return next((k.value for k in held.keywords if k.arg == node.attr), None)  # type: ignore[union-attr]


def is_record(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == RECORD


def holds_record(node: ast.AST) -> bool:
    """Whether a traced expression speaks of an object as a whole, which no config can be asked about."""
    return any(is_record(n) for n in ast.walk(node))
