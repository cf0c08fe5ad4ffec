"""Attributes that only their own constructor reads: what they hold is named where it is needed, and not kept."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence

from portwright.codegen.tidy.fold import folded

PURE = (
    ast.Name, ast.Constant, ast.Attribute, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp, ast.Subscript,
    ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.expr_context,
)  # fmt: skip
PURE_CALLS = frozenset({"int", "float", "len", "min", "max", "bool"})
CONFIGS = ("config", "args")
CONVENTIONS = frozenset({"args", "model_type"})  # what mlx-lm reads of a root


def without_own_attributes(nodes: Sequence[ast.stmt]) -> None:
    """Take them out of each class, in place.

    `plain` of a constructor says which of its arguments are numbers, texts and the like: a layer or an array that
    becomes an attribute is a part of the model, whether anything reads it or not.
    """
    classes = [n for n in nodes if isinstance(n, ast.ClassDef)]
    related = families(classes)
    reads = foreign_reads(nodes)
    for node in classes:
        init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        plain = frozenset(getattr(init, "plain", ()))
        if init is not None and is_simple(node, classes) and not is_dynamic(node):
            one_class(node, init, plain, reads | own_reads(related[node.name], init))


def one_class(node: ast.ClassDef, init: ast.FunctionDef, plain: frozenset[str], read: set[str]) -> None:
    names = {a.arg for a in init.args.args} | {n.id for n in ast.walk(init) if isinstance(n, ast.Name)}
    stored = [n.attr for n in ast.walk(node) if is_own(n) and isinstance(n.ctx, (ast.Store, ast.Del))]  # type: ignore[attr-defined]
    fixed = plain - {n.id for n in ast.walk(init) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    inlined: dict[str, ast.expr] = {}
    kept: list[ast.stmt] = []
    dropped = False
    for s in init.body:
        if dropped and is_beside(s):
            dropped = False
            continue
        dropped = False
        s = _Put(inlined).visit(s)
        name = attribute_of(s)
        if name is None or name in read or stored.count(name) != 1 or not is_plain(s.value, fixed):
            kept.append(s)
            continue
        rest = init.body[init.body.index(s) + 1 :]
        uses = sum(is_own(n) and n.attr == name for later in rest for n in ast.walk(later))  # type: ignore[attr-defined]
        once = uses == 1 and (is_path(s.value) or name in names)
        if isinstance(s.value, (ast.Constant, ast.Name)) or not uses or once:
            inlined[name] = s.value
            dropped = True
        elif name not in names:
            inlined[name] = ast.Name(name, ast.Load())
            s.targets = [ast.Name(name, ast.Store())]
            fixed |= {name}
            kept.append(s)
        else:
            kept.append(s)
    init.body = folded(kept)


def attribute_of(s: ast.stmt) -> str | None:
    """The name in `self.name = value`."""
    if isinstance(s, ast.Assign) and len(s.targets) == 1 and is_own(s.targets[0]):
        return str(s.targets[0].attr)  # type: ignore[attr-defined]
    return None


def is_own(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def is_beside(s: ast.stmt) -> bool:
    """A marked comment that stands behind the statement before it."""
    return isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and ast.unparse(s.value.func) == "__beside__"


def is_path(node: ast.expr) -> bool:
    """`config.x`, or an argument."""
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and is_path(node.value))


def is_plain(value: ast.expr, plain: frozenset[str]) -> bool:
    """Whether a value is made of config fields and plain arguments alone."""
    for n in ast.walk(value):
        if isinstance(n, ast.Call):
            if not (isinstance(n.func, ast.Name) and n.func.id in PURE_CALLS and not n.keywords):
                return False
        elif isinstance(n, ast.Name):
            if n.id not in plain and n.id != "config" and n.id not in PURE_CALLS:
                return False
        elif not isinstance(n, PURE):
            return False
    return True


def is_simple(node: ast.ClassDef, classes: Sequence[ast.ClassDef]) -> bool:
    """A module whose bases are written in the port too: a layer of MLX reads attributes of its own."""
    own = {c.name: c for c in classes}
    for base in node.bases:
        text = ast.unparse(base)
        if text != "nn.Module" and not (text in own and (is_simple(own[text], classes) or not own[text].bases)):
            return False
    return bool(node.bases)


def is_dynamic(node: ast.ClassDef) -> bool:
    """Whether a class names attributes by what is computed, or changes what a config holds."""
    for n in ast.walk(node):
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in ("getattr", "setattr", "hasattr"):
            return True
        if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and not is_own(n):
            return True
    return False


def families(classes: Sequence[ast.ClassDef]) -> dict[str, list[ast.ClassDef]]:
    """Each class with those that inherit from it, or that it inherits from, and theirs."""
    groups: dict[str, set[str]] = {c.name: {c.name} for c in classes}
    for c in classes:
        for base in map(ast.unparse, c.bases):
            if base in groups:
                merged = groups[c.name] | groups[base]
                groups.update(dict.fromkeys(merged, merged))
    return {name: [c for c in classes if c.name in group] for name, group in groups.items()}


def own_reads(family: Sequence[ast.ClassDef], init: ast.FunctionDef) -> set[str]:
    """Attributes of `self` that the methods of a family read, one constructor left out."""
    methods = [f for c in family for f in c.body if f is not init]
    return {n.attr for f in methods for n in ast.walk(f) if is_own(n) and isinstance(n.ctx, ast.Load)}  # type: ignore[attr-defined]


def foreign_reads(nodes: Sequence[ast.stmt]) -> set[str]:
    """Attributes that are read of anything but `self` and configs, and names that texts give."""
    found = set(CONVENTIONS)
    for n in (n for node in nodes for n in ast.walk(node)):
        if isinstance(n, ast.Attribute) and not is_own(n) and not is_config(n.value):
            found.add(n.attr)
        elif isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.isidentifier():
            found.add(n.value)
    return found


def is_config(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in CONFIGS or name.endswith("_config")


class _Put(ast.NodeTransformer):
    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self.values = values

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if is_own(node) and isinstance(node.ctx, ast.Load) and node.attr in self.values:
            return copy.deepcopy(self.values[node.attr])
        return node
