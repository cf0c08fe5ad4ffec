"""Loop variables that nothing reads are called `_`, as a person would."""

from __future__ import annotations

import ast

from portwright.codegen.quote import loads

LOOPS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def without_unread(body: list[ast.stmt]) -> list[ast.stmt]:
    """Rename unread variables of loops and comprehensions, in place."""
    read = {x for s in body for x in loads(s)}
    for s in body:
        for node in ast.walk(s):
            if isinstance(node, ast.For):
                blank(node.target, read)
            elif isinstance(node, LOOPS):
                parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                inner = {x for p in parts for x in loads(p)}
                inner |= {x for g in node.generators for p in (g.iter, *g.ifs) for x in loads(p)}
                for g in node.generators:
                    blank(g.target, inner)
    return body


def blank(target: ast.expr, read: set[str]) -> None:
    """Call the names of a target that nothing reads `_`."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and node.id not in read:
            node.id = "_"
