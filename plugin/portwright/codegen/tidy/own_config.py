"""A config that a class keeps only to read it in its constructor, which has it as an argument."""

from __future__ import annotations

import ast
from collections.abc import Iterable

KEPT = "self.config = config"


def without_own_config(node: ast.ClassDef, others: Iterable[ast.stmt]) -> ast.ClassDef:
    """The class with `config` read as the constructor's argument, and kept only if something else reads it.

    `others` are the statements of the whole port, where `x.config` of another object may mean this one's.
    """
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    init = next((n for n in methods if n.name == "__init__"), None)
    if init is None or KEPT not in [ast.unparse(s) for s in init.body] or not is_given(init):
        return node
    init.body = [s if ast.unparse(s) == KEPT else _Argument().visit(s) for s in init.body]
    needed = any(reads_own(m) for m in methods if m is not init) or any(reads_foreign(s) for s in others)
    if not needed:
        init.body = [s for s in init.body if ast.unparse(s) != KEPT]
    return node


def is_given(init: ast.FunctionDef) -> bool:
    """Whether config is an argument that the constructor never binds anew."""
    bound = any(
        isinstance(n, ast.Name) and n.id == "config" and not isinstance(n.ctx, ast.Load) for n in ast.walk(init)
    )
    return "config" in {a.arg for a in init.args.args} and not bound


def reads_own(node: ast.AST) -> bool:
    return any(ast.unparse(n) == "self.config" for n in ast.walk(node) if isinstance(n, ast.Attribute))


def reads_foreign(node: ast.AST) -> bool:
    return any(
        isinstance(n, ast.Attribute) and n.attr == "config" and ast.unparse(n.value) != "self" for n in ast.walk(node)
    )


class _Argument(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and ast.unparse(node) == "self.config":
            return ast.Name("config", ast.Load())
        return node
