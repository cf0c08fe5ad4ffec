"""`with` statements: contexts that change no number of a port, and those that are holes."""

from __future__ import annotations

import ast
from typing import cast

from portwright.codegen.emit.scope import Scope, statement
from portwright.codegen.emit.statements import block
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import stores


@statement(ast.With)
def with_(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    """Contexts that set autocast, gradients, profiling or a device change no number here; any other is a hole."""
    n = cast(ast.With, node)
    quiet = ("autocast", "no_grad", "enable_grad", "profile", "maybe_autocast", "set_grad_enabled", "inference_mode")
    for item in n.items:
        text = ast.unparse(item.context_expr)
        named = is_quiet(scope, item.context_expr, (*quiet, "nullcontext"))
        if not (named or any(q in text for q in quiet) or scope.kinds(item.context_expr) == {"device"}):
            raise HoleError(f"the context {text}")
    return block(scope, n.body)


def is_quiet(scope: Scope, node: ast.expr, quiet: tuple[str, ...]) -> bool:
    """Whether a local name only ever holds such contexts."""
    if not isinstance(node, ast.Name) or node.id not in scope.locals or node.id in scope.params:
        return False
    bound = [s for s in scope.function.nodes if isinstance(s, ast.Assign) and node.id in stores(s)]
    made = [n for s in bound for n in ast.walk(s.value) if isinstance(n, ast.Call)]
    names = {ast.unparse(n.func).rpartition(".")[2] for n in made}
    return len(bound) == scope.function.stores_of(node.id) and bool(names) and names <= set(quiet)
