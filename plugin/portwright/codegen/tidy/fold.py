"""Decide what became constant once parameters were folded: `None is not None`, `x ^ False`, `not True`."""

from __future__ import annotations

import ast

from portwright.codegen.quote import is_none, loads

CONTAINERS = frozenset({"dict", "list", "tuple", "str", "int", "float", "bool", "set"})


def folded(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements with constant tests decided; a branch that is never taken goes, and may leave nothing."""
    while True:
        body = _visited(_Fold(), apart(body))
        known = truths(body)
        if not known:
            return body
        body = _visited(_Put(known), [s for s in body if not binds(s, known)])


def decided(test: ast.expr) -> ast.expr:
    """An expression with what is constant in it decided."""
    made: ast.expr = _Fold().visit(test)
    return made


def _visited(visitor: ast.NodeTransformer, body: list[ast.stmt]) -> list[ast.stmt]:
    out: list[ast.stmt] = []
    for s in body:
        made = visitor.visit(s)
        out += made if isinstance(made, list) else [made]
    return out


def truths(body: list[ast.stmt]) -> dict[str, bool | None]:
    """Names that are bound once, at the top, to True, False or None."""
    stored = [n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)]
    stored += [n.arg for s in body for n in ast.walk(s) if isinstance(n, ast.arg)]
    found: dict[str, bool | None] = {}
    for i, s in enumerate(body):
        if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name):
            name = s.targets[0].id
            new = not any(name in loads(before) for before in body[:i])  # else it was an argument until here
            if (is_bool(s.value) or is_none(s.value)) and stored.count(name) == 1 and new:
                found[name] = s.value.value  # type: ignore[attr-defined]
    return found


def apart(body: list[ast.stmt]) -> list[ast.stmt]:
    """`x, y = None, None` as two statements."""
    out: list[ast.stmt] = []
    for s in body:
        if (
            isinstance(s, ast.Assign)
            and isinstance(s.targets[0], ast.Tuple)
            and isinstance(s.value, ast.Tuple)
            and len(s.targets) == 1
            and len(s.targets[0].elts) == len(s.value.elts)
            and all(map(is_none, s.value.elts))
        ):
            made = [ast.Assign([t], v) for t, v in zip(s.targets[0].elts, s.value.elts, strict=True)]
            for one in made:
                one.origin = getattr(s, "origin", None)  # type: ignore[attr-defined]
            out += made
        else:
            out.append(s)
    return out


def binds(s: ast.stmt, known: dict[str, bool | None]) -> bool:
    return isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and s.targets[0].id in known


class _Put(ast.NodeTransformer):
    def __init__(self, values: dict[str, bool | None]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self.values[node.id]) if node.id in self.values else node


def named_none(test: ast.expr) -> ast.Assign | None:
    """`isinstance((x := None), dict)` says `x = None` first."""
    if not (isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance" and len(test.args) == 2):
        return None
    named = test.args[0]
    if isinstance(named, ast.NamedExpr) and is_none(named.value):
        return ast.Assign([named.target], named.value)
    return None


class _Fold(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) != 1 or not isinstance(node.left, ast.Constant):
            return node
        right, op = node.comparators[0], node.ops[0]
        if not isinstance(right, ast.Constant):
            return node
        if isinstance(op, (ast.Eq, ast.NotEq)) and isinstance(node.left.value, str) and isinstance(right.value, str):
            return ast.Constant((node.left.value == right.value) == isinstance(op, ast.Eq))
        if not isinstance(op, (ast.Is, ast.IsNot)):
            return node
        if node.left.value is not None and right.value is not None:
            return node  # the identity of two numbers or texts is nobody's business
        return ast.Constant((node.left.value is right.value) == isinstance(op, ast.Is))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        passing = isinstance(node.op, ast.And)
        parts: list[ast.expr] = []
        for value in node.values:
            if parts and ast.dump(value) == ast.dump(parts[-1]) and not calls(value):
                continue  # `x or x`
            if is_bool(value):
                if value.value == passing:  # type: ignore[attr-defined]
                    continue
                parts.append(value)
                break
            parts.append(value)
        if not parts:
            return ast.Constant(passing)
        if len(parts) == 1:
            # alone, an operand stands for itself only as a test, or where it was a truth value anyway
            same = all(ast.dump(value) == ast.dump(parts[0]) for value in node.values)
            return parts[0] if same or is_truth(parts[0]) else node
        return ast.BoolOp(node.op, parts)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.BitXor):
            return node
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if is_bool(one) and is_truth(other):
                return ast.UnaryOp(ast.Not(), other) if one.value else other  # type: ignore[attr-defined]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        named = isinstance(node.func, ast.Name) and node.func.id == "isinstance" and len(node.args) == 2
        if named and is_none(node.args[0]) and isinstance(node.args[1], ast.Name) and node.args[1].id in CONTAINERS:
            return ast.Constant(False)
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        before = named_none(node.test)
        if before is not None:
            node.test = ast.Call(node.test.func, [ast.Constant(None), *node.test.args[1:]], [])  # type: ignore[attr-defined]
            decided = self.visit_If(node)
            return [before, *(decided if isinstance(decided, list) else [decided])]
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant):
            return node
        return node.body if node.test.value else node.orelse


def calls(node: ast.expr) -> bool:
    return any(isinstance(n, ast.Call) for n in ast.walk(node))


def is_bool(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def is_truth(node: ast.expr) -> bool:
    """Whether an expression is always True or False."""
    if isinstance(node, ast.Compare):
        return all(isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)) for op in node.ops)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.BoolOp):
        return all(map(is_truth, node.values))
    return is_bool(node)
