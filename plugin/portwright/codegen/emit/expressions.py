"""Python's own expressions: operators, comparisons, containers, comprehensions."""

from __future__ import annotations

import ast
import copy
import dataclasses
from typing import cast

from portwright.codegen.emit.prune import Decision, decide, unseen_side
from portwright.codegen.emit.scope import Scope, expression
from portwright.codegen.emit.sequences import elements
from portwright.codegen.facts.record import Demand, ask, assumed_in
from portwright.codegen.holes import HoleError
from portwright.codegen.idioms.experts import Translated
from portwright.codegen.layout import to_last, transpose
from portwright.codegen.quote import loads, quote
from portwright.codegen.runtime.caches import is_none_test


@expression(ast.Constant)
def constant(scope: Scope, node: ast.expr) -> ast.expr:
    value = cast(ast.Constant, node).value
    if isinstance(value, int) and not -(2**31) <= value < 2**32:
        raise HoleError(f"the integer {value}: MLX indexes and counts with 32 bits")
    return ast.Constant(value)


@expression(Translated)
def translated(scope: Scope, node: ast.expr) -> ast.expr:
    return cast(Translated, node).tree


@expression(ast.JoinedStr)
def joined(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.JoinedStr, node)
    parts = [shown(scope, v) if isinstance(v, ast.FormattedValue) else v for v in n.values]
    return ast.JoinedStr(parts)


def shown(scope: Scope, part: ast.FormattedValue) -> ast.expr:
    """A value in a text; torch shows a tensor of one number as that number."""
    value = scope.expr(part.value)
    if "tensor" in scope.kinds(part.value):
        if scope.rank(part.value) != 0:
            raise HoleError("a tensor in a text")
        value = quote("x.item()", x=value)
    return ast.FormattedValue(value, part.conversion, part.format_spec)


@expression(ast.Tuple)
def tuple_(scope: Scope, node: ast.expr) -> ast.expr:
    return ast.Tuple([scope.expr(e) for e in cast(ast.Tuple, node).elts], ast.Load())


@expression(ast.List)
def list_(scope: Scope, node: ast.expr) -> ast.expr:
    return ast.List([scope.expr(e) for e in cast(ast.List, node).elts], ast.Load())


@expression(ast.Set)
def set_(scope: Scope, node: ast.expr) -> ast.expr:
    return ast.Set([scope.expr(e) for e in cast(ast.Set, node).elts])


@expression(ast.Dict)
def dict_(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.Dict, node)
    return ast.Dict([scope.expr(k) if k else None for k in n.keys], [scope.expr(v) for v in n.values])


@expression(ast.Starred)
def starred(scope: Scope, node: ast.expr) -> ast.expr:
    return ast.Starred(scope.expr(cast(ast.Starred, node).value), ast.Load())


@expression(ast.Lambda)
def lambda_(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.Lambda, node)
    if isinstance(n.body, ast.Call) and not scope.seen(n.body).n:  # never called: it must not be
        return ast.Lambda(n.args, not_seen(n.body))
    return ast.Lambda(n.args, scope.expr(n.body))


@expression(ast.NamedExpr)
def named(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.NamedExpr, node)
    return ast.NamedExpr(n.target, scope.expr(n.value))


@expression(ast.BinOp)
def binary(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.BinOp, node)
    left, right = scope.expr(n.left), scope.expr(n.right)
    if isinstance(n.op, ast.MatMult):
        return opaque_matmul(scope, n, left, right)
    if isinstance(n.op, ast.Mult) and scope.kinds(n) and scope.kinds(n) <= {"list", "tuple", "str"}:
        return repeated(scope, n, left, right)
    if scope.is_last(node):
        rank = scope.rank(node)
        left, right = meet(scope, n.left, left, rank), meet(scope, n.right, right, rank)
    if isinstance(n.op, (ast.Add, ast.Sub)) and is_folded_zero(n.right, right):
        return ask(left, *assumed_in(right))
    if isinstance(n.op, ast.Add) and is_folded_zero(n.left, left):
        return ask(right, *assumed_in(left))
    return ast.BinOp(left, n.op, right)


def repeated(scope: Scope, n: ast.BinOp, left: ast.expr, right: ast.expr) -> ast.expr:
    """`[x] * n`, where n may be a tensor of one number."""
    sides = [(n.left, left), (n.right, right)]
    whole = [quote("int(x)", x=made) if "tensor" in scope.kinds(raw) else made for raw, made in sides]
    return ast.BinOp(whole[0], n.op, whole[1])


def is_folded_zero(source: ast.expr, translated: ast.expr) -> bool:
    """An operand that became the number 0, and was not written so."""
    zero = isinstance(translated, ast.Constant) and type(translated.value) is int and translated.value == 0
    return zero and not isinstance(source, ast.Constant)


def opaque_matmul(scope: Scope, node: ast.BinOp, left: ast.expr, right: ast.expr) -> ast.expr:
    if any(scope.is_last(x) for x in (node, node.left, node.right)):
        raise HoleError("matrix product of channels-last values")
    return ast.BinOp(left, node.op, right)


def meet(scope: Scope, source: ast.expr, translated: ast.expr, rank: int | None) -> ast.expr:
    """An operand of a channels-last operation of this rank, brought into its layout."""
    if "tensor" not in scope.kinds(source) or scope.is_last(source):
        return translated
    own = scope.rank(source)
    if own == 0:
        return translated
    if own == rank and rank is not None:
        return to_last(translated, rank)
    if own is not None and rank is not None and own == rank - 1:  # (channels, ...): its first axis is the channels
        return transpose(translated, (*range(1, own), 0)) if own > 1 else translated
    if own is not None and rank is not None and own < rank - 1:  # positions only
        return quote("x[..., None]", x=translated)
    if rank is None and is_column(scope, source):
        return quote("x.flatten()", x=translated)
    raise HoleError("a tensor of unknown rank meets a channels-last one")


def is_column(scope: Scope, source: ast.expr) -> bool:
    """Whether a tensor was always one number for each channel and ones behind, of the rank below its partner's."""
    shapes = scope.seen(source).shapes
    return 0 < len(shapes) < 6 and all(len(s) > 1 and s[0] > 1 and set(s[1:]) == {1} for s in shapes)


@expression(ast.UnaryOp)
def unary(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.UnaryOp, node)
    operand = scope.expr(n.operand)
    if isinstance(n.op, ast.Invert) and "tensor" in scope.kinds(n.operand):
        return ast.Call(ast.Attribute(ast.Name("mx", ast.Load()), "logical_not", ast.Load()), [operand], [])
    return ast.UnaryOp(n.op, operand)


@expression(ast.Compare)
def compare(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.Compare, node)
    of_cache = is_none_test(scope, n)
    if of_cache is not None:
        return of_cache
    values = [scope.expr(n.left), *[scope.expr(c) for c in n.comparators]]
    if scope.is_last(node):
        rank = scope.rank(node)
        values = [meet(scope, s, v, rank) for s, v in zip((n.left, *n.comparators), values, strict=True)]
    return ast.Compare(values[0], n.ops, values[1:])


@expression(ast.BoolOp)
def boolean(scope: Scope, node: ast.expr) -> ast.expr:
    """`a or b` as a value: operands that never decide are left out."""
    n = cast(ast.BoolOp, node)
    passing = isinstance(n.op, ast.And)  # the truth value that moves on to the next operand
    values = []
    skipped: list[Demand] = []
    for index, value in enumerate(n.values):
        truth = scope.truth(value)
        if not truth:
            if isinstance(value, ast.Name) and value.id in scope.locals | set(scope.params):
                values.append(scope.expr(value))  # never needed, and nothing is lost by keeping it
                continue
            skipped += always(scope, n.values[index - 1]) if values and not is_fixed(values[-1]) else []
            break
        last = index == len(n.values) - 1
        translated = scope.expr(value)
        if not last and truth == {passing} and is_fixed(translated):
            skipped += assumed_in(translated)
            continue
        values.append(translated)
        if truth == {not passing} and is_fixed(translated):
            break
    return ask(values[0] if len(values) == 1 else ast.BoolOp(n.op, values), *skipped)


def always(scope: Scope, operand: ast.expr) -> list[Demand]:
    """That an operand decides, as it did in every run, so that those behind it are left out."""
    assumption = decide(scope, operand).assumption
    if assumption is None:
        return []
    unasked = dataclasses.replace(assumption, checked="no") if assumption.checked == "call" else assumption
    return [Demand("assume", unasked)]


def is_fixed(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


@expression(ast.IfExp)
def conditional(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.IfExp, node)
    decision = decide(scope, n.test, keep=plain_arms(scope, n))
    try:
        arms = [scope.expr(arm) for arm in (n.body, n.orelse)] if decision.value is None else []
    except HoleError:
        decision = decide(scope, n.test)  # the arm that never ran has no counterpart: it is not kept
        if decision.value is None:
            raise
    if decision.value is not None:
        arm = scope.expr(n.body if decision.value else n.orelse)
        return decision.attach(guarded(scope, arm, n.test, decision))
    assert decision.test is not None
    body, orelse = arms
    if ast.dump(body) == ast.dump(orelse):
        return body
    return ast.IfExp(decision.test, body, orelse)


def guarded(scope: Scope, arm: ast.expr, test: ast.expr, decision: Decision) -> ast.expr:
    """The arm that was seen, behind a run-time refusal of the other one where that can be asked for."""
    if decision.guard is None:
        return arm
    text = ast.Constant(ast.unparse(unseen_side(scope, test)))
    refusal = ask(quote("not_ported(t)", t=text), Demand("snippet", "not_ported"))
    return ast.IfExp(decision.guard, refusal, arm)


PLAIN_NODES = (
    ast.Name, ast.Attribute, ast.Constant, ast.BinOp, ast.Subscript, ast.UnaryOp, ast.Tuple, ast.operator, ast.unaryop,
    ast.expr_context, ast.List,
)  # fmt: skip


def plain_arms(scope: Scope, node: ast.IfExp) -> bool:
    """Whether the arm that never ran is arithmetic on names: it can be kept without having been seen."""
    truth = scope.truth(node.test)
    if len(truth) != 1:
        return True
    other = node.orelse if True in truth else node.body
    if isinstance(other, ast.Constant) and other.value is None:
        return False
    if any(is_unbound(scope, name) for name in loads(other)):
        return False  # it reads what only code binds that never ran
    return all(isinstance(x, PLAIN_NODES) for x in ast.walk(other)) and "tensor" not in scope.kinds(node)


def is_unbound(scope: Scope, name: str) -> bool:
    """Whether a local name is bound by no code that ran."""
    return name in scope.locals and name not in scope.params and not scope.reached_stores.get(name)


@expression(ast.ListComp, ast.SetComp, ast.GeneratorExp)
def comprehension(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.ListComp, node)
    scope.nested += 1
    made = not_seen(n.elt) if never_ran(scope, n) else scope.expr(n.elt)
    out = type(n)(made, generators(scope, n.generators))
    scope.nested -= 1
    return out


def never_ran(scope: Scope, n: ast.ListComp) -> bool:
    """Whether nothing was ever iterated over, where an item would take a call."""
    ran = any(scope.seen(x).n for x in ast.walk(n.elt))
    calls = any(isinstance(x, ast.Call) for x in ast.walk(n.elt))
    return calls and not ran and bool(scope.seen(n.generators[0].iter).n)


def not_seen(node: ast.expr) -> ast.expr:
    """What refuses at run time in the place of an expression that no run reached."""
    text = ast.Constant(ast.unparse(node))
    return ask(ast.Call(ast.Name("not_ported", ast.Load()), [text], []), Demand("snippet", "not_ported"))


@expression(ast.DictComp)
def dict_comprehension(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.DictComp, node)
    return ast.DictComp(scope.expr(n.key), scope.expr(n.value), generators(scope, n.generators))


def generators(scope: Scope, items: list[ast.comprehension]) -> list[ast.comprehension]:
    out = []
    for g in items:
        tests: list[ast.expr] = []
        decided: list[Decision] = []
        for test in g.ifs:
            decision = decide(scope, test, keep=True)
            if decision.test is not None:
                tests.append(decision.test)
            elif decision.guard is not None:
                raise HoleError(f"a comprehension's test {ast.unparse(test)}, which was seen one way only")
            else:
                tests += [ast.Constant(False)] if decision.value is False else []
                decided.append(decision)
        target = copy.deepcopy(g.target)  # tidying may blank it, and the next pass may read it
        iterated = elements(scope, g.iter)
        for decision in decided:
            decision.attach(iterated)
        out.append(ast.comprehension(target, iterated, tests, 0))
    return out
