"""Wrap every expression, test and call of a function in a probe, and compile the result to a code object."""

from __future__ import annotations

import ast
import copy
import types
from typing import cast

from portwright.codegen.source import number

PROBE = "__portwright__"
HERE = "__portwright_here__"  # the local name of the context that a function runs in
INNER = "__function__"
UNTOUCHED_CALLS = frozenset({"super", "locals", "vars", "globals"})


def instrumented_code(tree: ast.FunctionDef, index: int, function: types.FunctionType) -> types.CodeType:
    """The code object of `tree` with probes, fit to replace `function.__code__` (same free variables)."""
    node = copy.deepcopy(tree)
    node.decorator_list = []
    node.name = INNER  # its own name may be a global that it reads
    Wrap().visit(node)
    node.body = [enter_call(node, index), *node.body]
    strip_signature(node)
    free = function.__code__.co_freevars
    bound: list[ast.stmt] = [ast.Assign([ast.Name(x, ast.Store()) for x in free], ast.Constant(None))] if free else []
    nothing = ast.arguments([], [], None, [], [], None, [])
    outer = ast.FunctionDef("__outer__", nothing, [*bound, node], [], None, type_params=[])  # type: ignore[call-arg,unused-ignore]
    module = ast.fix_missing_locations(ast.Module([outer], []))
    code = compile(module, function.__code__.co_filename, "exec")
    for name in ("__outer__", INNER):
        code = next(c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == name)
    code = code.replace(co_name=tree.name)
    if code.co_freevars != free:
        raise ValueError(f"free variables {code.co_freevars} are not {free}")
    return code


def enter_call(node: ast.FunctionDef, index: int) -> ast.stmt:
    """`here = probe.enter(index, {parameter: value})`, the first statement of an instrumented function."""
    a = node.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if x]
    values = ast.Dict([ast.Constant(x) for x in names], [ast.Name(x, ast.Load()) for x in names])
    entered = ast.Call(
        ast.Attribute(ast.Name(PROBE, ast.Load()), "enter", ast.Load()), [ast.Constant(index), values], []
    )
    return ast.Assign([ast.Name(HERE, ast.Store())], entered)


def strip_signature(node: ast.FunctionDef) -> None:
    """Drop annotations and defaults: the function object keeps its real defaults beside its code."""
    node.returns = None
    a = node.args
    for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg):
        if x:
            x.annotation = None
    a.defaults = [ast.Constant(None) for _ in a.defaults]
    a.kw_defaults = [ast.Constant(None) if d is not None else None for d in a.kw_defaults]


def probe(kind: str, *args: int | ast.expr) -> ast.Call:
    """`probe.<kind>(here, ...)`."""
    values = [ast.Name(HERE, ast.Load()), *[ast.Constant(a) if isinstance(a, int) else a for a in args]]
    return ast.Call(ast.Attribute(ast.Name(PROBE, ast.Load()), kind, ast.Load()), values, [])


def is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def changed(statement: ast.stmt, target: ast.expr) -> list[ast.stmt]:
    """Tell that a statement may have changed a tensor in place; one that only a call gives is not asked for again."""
    if any(isinstance(n, ast.Call) for n in ast.walk(target)) or not isinstance(
        target, (ast.Name, ast.Attribute, ast.Subscript)
    ):
        return []
    name = ast.Constant(target.id if isinstance(target, ast.Name) else "")
    return [ast.Expr(probe("changed", number(statement), number(target), name, reloaded(target)))]


def reloaded(target: ast.expr) -> ast.expr:
    """The value of what a statement has stored to, read again without probes."""
    out = copy.deepcopy(target)
    out.ctx = ast.Load()  # type: ignore[attr-defined]
    return out


def bound(target: ast.expr) -> list[ast.stmt]:
    """Tell that names have been bound."""
    names = sorted({n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)})
    return [ast.Expr(probe("names", *[ast.Constant(n) for n in names]))] if names else []


class Wrap(ast.NodeTransformer):
    """Replace each loaded expression `e` by a probe call that returns `e`."""

    def seen(self, node: ast.expr, new: ast.expr, kind: str = "value") -> ast.expr:
        return probe(kind, node.number, new)  # type: ignore[attr-defined]

    def test(self, node: ast.expr) -> ast.expr:
        return self.seen(node, self.visit(node), "test")

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        parts: list[ast.expr] = [
            ast.FormattedValue(self.visit(v.value), v.conversion, v.format_spec)
            if isinstance(v, ast.FormattedValue)
            else v
            for v in node.values
        ]
        return self.seen(node, ast.JoinedStr(parts))

    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load):
            return node
        call = self.seen(node, node, "name")
        call.args.append(ast.Constant(node.id))  # type: ignore[attr-defined]
        return call

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if is_super(node.value):
            return node
        value = self.visit(node.value)
        if not isinstance(node.ctx, ast.Load):
            return ast.Attribute(value, node.attr, node.ctx)
        if node.attr.startswith("__"):
            return self.seen(node, ast.Attribute(value, node.attr, node.ctx))
        call = self.seen(node, value, "attribute")
        call.args.append(ast.Constant(node.attr))  # type: ignore[attr-defined]
        return call

    def subscript(self, node: ast.expr) -> ast.expr:
        """Slices cannot be arguments of a call: only their bounds are wrapped."""
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self.subscript(e) for e in node.elts], ast.Load())
        if isinstance(node, ast.Slice):
            return ast.Slice(*[self.visit(x) if x else None for x in (node.lower, node.upper, node.step)])
        return cast(ast.expr, self.visit(node))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            base = node.value  # only what the item covers is read
            new = ast.Subscript(self.seen(base, base), self.subscript(node.slice), node.ctx)
            call = self.seen(node, new, "item")
            call.args += [ast.Name(base.id, ast.Load()), ast.Constant(base.id)]  # type: ignore[attr-defined]
            return call
        new = ast.Subscript(self.visit(node.value), self.subscript(node.slice), node.ctx)
        return self.seen(node, new, "made") if isinstance(node.ctx, ast.Load) else new

    def visit_Call(self, node: ast.Call) -> ast.expr:
        f = node.func
        if isinstance(f, ast.Name) and f.id in UNTOUCHED_CALLS:
            return node
        if isinstance(f, ast.Attribute) and not is_super(f.value) and not f.attr.startswith("__"):
            function = probe("bound", f.number, self.visit(f.value), ast.Constant(f.attr))  # type: ignore[attr-defined]
        elif isinstance(f, (ast.Name, ast.Attribute)):
            function = self.visit(f) if isinstance(f, ast.Name) else f  # type: ignore[assignment]
        else:
            function = self.visit(f)
        args = [
            ast.Starred(self.visit(a.value), ast.Load()) if isinstance(a, ast.Starred) else self.visit(a)
            for a in node.args
        ]
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
        named: list[ast.expr] = [ast.Constant(k.arg) for k in node.keywords if k.arg]
        call = probe("call", node.number, ast.List(named, ast.Load()), function, *args)  # type: ignore[attr-defined]
        call.keywords = keywords
        return call

    def generic_value(self, node: ast.expr) -> ast.expr:
        return self.seen(node, self.generic_visit(node))  # type: ignore[arg-type]

    def loaded(self, node: ast.Tuple | ast.List) -> ast.expr:
        return self.generic_value(node) if isinstance(node.ctx, ast.Load) else self.generic_visit(node)  # type: ignore[return-value]

    visit_Compare = visit_Dict = visit_ListComp = visit_DictComp = visit_GeneratorExp = generic_value
    visit_Tuple = visit_List = loaded

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        return self.seen(node, self.generic_visit(node), "made")  # type: ignore[arg-type]

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        inner = self.test(node.operand) if isinstance(node.op, ast.Not) else self.visit(node.operand)
        return self.seen(node, ast.UnaryOp(node.op, inner), "made")

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        return self.seen(node, ast.BoolOp(node.op, [self.test(v) for v in node.values]))

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        return self.seen(node, ast.IfExp(self.test(node.test), self.visit(node.body), self.visit(node.orelse)))

    def visit_If(self, node: ast.If | ast.While) -> ast.stmt:
        node.test = self.test(node.test)
        node.body = self.block(node.body)
        node.orelse = self.block(node.orelse)
        return node

    visit_While = visit_If

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for s in statements:
            new = self.visit(s)
            made += new if isinstance(new, list) else [new]
        return made

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        t = node.target
        told = changed(node, t if isinstance(t, ast.Name) else getattr(t, "value", t))
        told += bound(t)
        node.target = self.visit(node.target)
        node.value = self.visit(node.value)
        return [node, *told]

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        told = [s for t in node.targets if isinstance(t, ast.Subscript) for s in changed(node, t.value)]
        told += [s for t in node.targets for s in bound(t)]
        self.generic_visit(node)
        return [node, *told]

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        node.test = self.test(node.test)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        node.decorator_list = []
        node.body = self.block(node.body)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.body = self.visit(node.body)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        node.iter = self.visit(node.iter)
        node.ifs = [self.test(i) for i in node.ifs]
        return node
