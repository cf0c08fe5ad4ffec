"""A model output whose name is bound again to a part of it: two names.

`features = self.model(x)` and, later, `features = features.feature_maps` become `features_output = self.model(x)` and
`features = features_output.feature_maps`, so that one name always holds one kind of thing.
Elements taken by a constant's name are taken by its value.
"""

from __future__ import annotations

import ast

from portwright.codegen.keyed import place, seen
from portwright.codegen.trace import FunctionTrace


def with_own_names(tree: ast.FunctionDef, trace: FunctionTrace) -> ast.FunctionDef:
    """The tree with a name of its own for each such output; changed in place."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    for first, then in bindings(tree, trace):
        made, again = first.targets[0], then.targets[0]
        assert isinstance(made, ast.Name)
        assert isinstance(again, ast.Name)
        title = f"{made.id}_output"
        if seen(trace, first.value).kinds != {"output"} or "output" in seen(trace, then.value).kinds or title in names:
            continue
        ends = (then.value.end_lineno or 0, then.value.end_col_offset or 0)
        nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == made.id and n is not again]
        for node in nodes:
            if place(first.targets[0]) <= place(node) < ends:
                node.id = title
    return tree


def with_literal_places(tree: ast.FunctionDef, trace: FunctionTrace) -> ast.FunctionDef:
    """The tree with numbers where outputs are taken apart by a constant of the Python module; changed in place.

    `outputs[START]` is an element of the output like `outputs[1]`.
    """
    for n in ast.walk(tree):
        if not (isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Name)):
            continue
        held = trace.globals.get(n.slice.id)
        if (
            held is not None
            and held.sort == "const"
            and type(held.value) is int
            and "output" in seen(trace, n.value).kinds
        ):
            n.slice = ast.copy_location(ast.Constant(held.value), n.slice)
    return tree


def bindings(tree: ast.FunctionDef, trace: FunctionTrace) -> list[tuple[ast.Assign, ast.Assign]]:
    """The two assignments of each name that every run made one after the other, and that nothing else binds."""
    found: dict[str, list[ast.Assign]] = {}
    for s in reached(tree.body, trace):
        if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name):
            found.setdefault(s.targets[0].id, []).append(s)
    out = []
    for name, statements in found.items():
        named = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == name]
        stores = [n for n in named if not isinstance(n.ctx, ast.Load)]
        arguments = [a for a in ast.walk(tree) if isinstance(a, ast.arg) and a.arg == name]
        if len(stores) == len(statements) == 2 and not arguments and reads(statements[1].value, name):
            out.append((statements[0], statements[1]))
    return out


def reached(body: list[ast.stmt], trace: FunctionTrace) -> list[ast.stmt]:
    """The statements that every run passed, in order: those of branches seen one way too."""
    out: list[ast.stmt] = []
    for s in body:
        out.append(s)
        if isinstance(s, ast.If) and len(truth := seen(trace, s.test).truth) == 1:
            out += reached(s.body if True in truth else s.orelse, trace)
    return out


def reads(value: ast.expr, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(value))
