"""Dicts that hold model outputs under literal keys: one local name for each key.

`found = {}`, `found["image"] = self.encode(x)` and `found.get("image")` become `found_image = None`,
`found_image = self.encode(x)` and `found_image`. Each new name has the number of the node that it stands for, so that
what was seen there is known of it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from portwright.codegen.source import number
from portwright.codegen.trace import FunctionTrace, Seen


def without_dicts(tree: ast.FunctionDef, trace: FunctionTrace) -> ast.FunctionDef:
    """The tree with a local name for each key of each such dict; changed in place."""
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {a.arg for a in all_arguments(tree)}
    for made in [s for s in tree.body if isinstance(s, ast.Assign)]:
        target = made.targets[0]
        if not isinstance(target, ast.Name) or not starts_empty(made.value, target.id, trace.nodes):
            continue
        items = items_of(tree, target.id, made, parents, trace)
        keys = sorted({key for _, key in items or ()})
        if not items or not any("output" in seen(trace, node).kinds for node, _ in items):
            continue
        if any(f"{target.id}_{key}" in names for key in keys):
            continue
        apart(tree, made, target.id, items, keys, parents)
        for test in [n for n in ast.walk(tree) if asks_type(n, trace) and n.args[0].id == target.id]:  # type: ignore[attr-defined]
            replaced(parents[test], test, numbered(ast.Constant(seen(trace, test).consts[0]), test))  # type: ignore[arg-type]
    return tree


def starts_empty(value: ast.expr, name: str, nodes: Mapping[str, Seen]) -> bool:
    """`{}`, or `x if x is not None else {}` of a parameter x that was always None."""
    if isinstance(value, ast.Dict):
        return not value.keys
    if not isinstance(value, ast.IfExp) or not isinstance(value.orelse, ast.Dict) or value.orelse.keys:
        return False
    test = value.test
    asks = isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == name
    return asks and nodes.get(str(number(test)), Seen()).truth == {False}


def items_of(
    tree: ast.FunctionDef, name: str, made: ast.Assign, parents: Mapping[ast.AST, ast.AST], trace: FunctionTrace
) -> list[tuple[ast.expr, str]] | None:
    """Every node that is one item of the dict, with its key; None where the dict is used in any other way."""
    found: list[tuple[ast.expr, str]] = []
    inside = set(ast.walk(made))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name) or node.id != name or node in inside or node.lineno < made.lineno:
            continue  # before it, the name is a parameter
        item = item_at(node, parents)
        if item is None and (not seen(trace, node).n or asks_type(parents[node], trace)):
            continue  # code that never ran, or a test of the dict's type
        if item is None or any(isinstance(p, ast.Delete) for p in [parents[item[0]]]):
            return None
        found.append(item)
    return found


def item_at(node: ast.Name, parents: Mapping[ast.AST, ast.AST]) -> tuple[ast.expr, str] | None:
    """`name["key"]` or `name.get("key")` around the name."""
    parent = parents[node]
    if isinstance(parent, ast.Subscript) and parent.value is node:
        key = parent.slice
        return (parent, key.value) if is_key(key) else None  # type: ignore[attr-defined]
    call = parents.get(parent)
    if not (isinstance(parent, ast.Attribute) and parent.attr == "get" and isinstance(call, ast.Call)):
        return None
    given = len(call.args) == 1 and not call.keywords and call.func is parent and is_key(call.args[0])
    return (call, call.args[0].value) if given else None  # type: ignore[attr-defined]


def asks_type(node: ast.AST, trace: FunctionTrace) -> bool:
    """`isinstance(name, T)`, which says the same in every run."""
    asks = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
    return asks and isinstance(node.args[0], ast.Name) and seen(trace, node).const  # type: ignore[attr-defined]


def is_key(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()


def apart(
    tree: ast.FunctionDef,
    made: ast.Assign,
    name: str,
    items: list[tuple[ast.expr, str]],
    keys: list[str],
    parents: Mapping[ast.AST, ast.AST],
) -> None:
    """Put the names in the items' places, and `name = None` for each in that of the empty dict."""
    filled = {key: [place(n) for n, k in items if k == key and is_store(n)] for key in keys}
    for node, key in items:
        context = node.ctx if isinstance(node, ast.Subscript) else ast.Load()
        new: ast.expr = ast.Name(f"{name}_{key}", context)
        if all(place(node) < p for p in filled[key]) and not in_loop(node, parents):
            new = ast.Constant(None)  # before anything is there
        replaced(parents[node], node, numbered(new, node))
    empty = []
    for key in keys:
        target = ast.copy_location(ast.Name(f"{name}_{key}", ast.Store()), made)
        empty.append(ast.copy_location(ast.Assign([target], ast.copy_location(ast.Constant(None), made)), made))
    index = tree.body.index(made)
    tree.body[index : index + 1] = empty


def is_store(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)


def place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def in_loop(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether a loop, or a function of its own, may run a node again."""
    loops = (ast.For, ast.While, ast.comprehension, ast.Lambda)
    while (node := parents[node]) in parents:
        if isinstance(node, (*loops, ast.FunctionDef)):
            return True
    return False


def numbered(new: ast.expr, old: ast.expr) -> ast.expr:
    new.number = number(old)  # type: ignore[attr-defined]
    return ast.copy_location(new, old)


def replaced(parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
    """Put one child in another's place."""
    for field, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, field, new)
        elif isinstance(value, list) and any(v is old for v in value):
            setattr(parent, field, [new if v is old else v for v in value])


def all_arguments(tree: ast.FunctionDef) -> list[ast.arg]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.arg)]


def seen(trace: FunctionTrace, node: ast.AST) -> Seen:
    return trace.nodes.get(str(number(node)), Seen())
