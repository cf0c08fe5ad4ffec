"""The reference's own errors, raised by the port where it can ask what they are about."""

from __future__ import annotations

import ast

from portwright.codegen.emit.scope import Scope
from portwright.codegen.holes import HoleError, raise_error

KINDS = ("ValueError", "TypeError", "NotImplementedError")


def is_refusal(s: ast.stmt) -> bool:
    """A statement that only raises or logs."""
    if isinstance(s, ast.Raise):
        return True
    return isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and "warn" in ast.unparse(s.value.func)


def reference_error(scope: Scope, node: ast.Raise, test: ast.expr | None = None) -> ast.Raise:
    """The reference's own error. Its message shows the values that the guarding test reads; others become "…"."""
    kind = "ValueError"
    message: list[ast.expr] = [ast.Constant("")]
    if isinstance(node.exc, ast.Call):
        if isinstance(node.exc.func, ast.Name) and node.exc.func.id in KINDS:
            kind = node.exc.func.id
        if node.exc.args:
            message = message_parts(scope, node.exc.args[0], test)
    if all(isinstance(p, ast.Constant) for p in message):
        return raise_error(kind, "".join(str(p.value) for p in message if isinstance(p, ast.Constant)))
    error = ast.Call(ast.Name(kind, ast.Load()), [ast.JoinedStr(message)], [])
    return ast.Raise(error, None)


def message_parts(scope: Scope, node: ast.expr, test: ast.expr | None) -> list[ast.expr]:
    if isinstance(node, ast.Constant):
        return [ast.Constant(str(node.value))]
    if not isinstance(node, ast.JoinedStr):
        return [ast.Constant("")]
    known = {ast.unparse(n): n for n in ast.walk(test) if isinstance(n, ast.expr)} if test is not None else {}
    out: list[ast.expr] = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            shown = value_of(scope, known.get(ast.unparse(part.value)))
            out.append(ast.FormattedValue(shown, part.conversion, part.format_spec) if shown else ast.Constant("…"))
        elif isinstance(part, ast.Constant):
            out.append(ast.Constant(str(part.value)))
    return joined(out)


def value_of(scope: Scope, node: ast.expr | None) -> ast.expr | None:
    if node is None:
        return None
    try:
        return scope.expr(node)
    except HoleError:
        return None


def joined(parts: list[ast.expr]) -> list[ast.expr]:
    """Neighbouring texts as one."""
    out: list[ast.expr] = []
    for part in parts:
        if out and isinstance(part, ast.Constant) and isinstance(out[-1], ast.Constant):
            out[-1] = ast.Constant(str(out[-1].value) + str(part.value))
        else:
            out.append(part)
    return out
