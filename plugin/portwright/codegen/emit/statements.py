"""Statements: assignments, branches, loops, returns. An unknown statement is a hole, never nothing."""

from __future__ import annotations

import ast
from typing import cast

from portwright.codegen.emit.assign import assign, own_copy, target
from portwright.codegen.emit.behind import named_fields
from portwright.codegen.emit.dtype_branches import casting_branch
from portwright.codegen.emit.effects import expression_statement
from portwright.codegen.emit.guards import guards
from portwright.codegen.emit.items import last_item
from portwright.codegen.emit.lasting import has_effect
from portwright.codegen.emit.loops import counted, emptied, is_idle
from portwright.codegen.emit.outward import outward, pass_through, returned_parts
from portwright.codegen.emit.prune import Decision, decide, negated, unseen_side
from portwright.codegen.emit.refusal import is_refusal, reference_error
from portwright.codegen.emit.scope import Scope, statement
from portwright.codegen.emit.sequences import elements
from portwright.codegen.emit.untranslated import DEFECTS, hole
from portwright.codegen.facts.record import ask
from portwright.codegen.facts.returns import returned_elements
from portwright.codegen.holes import HoleError, raise_error
from portwright.codegen.layout import to_first
from portwright.codegen.quote import quote
from portwright.codegen.runtime.caches import cache_of_loop, is_cached, with_layer_caches
from portwright.codegen.source import number


def block(scope: Scope, statements: list[ast.stmt]) -> list[ast.stmt]:
    """Translate statements in order; one that cannot be becomes a hole of its own."""
    out: list[ast.stmt] = []
    for s in statements:
        try:
            out += scope.statement(s)
        except HoleError as error:
            out += hole(scope, s, str(error))
        except DEFECTS as error:
            out += hole(scope, s, f"a defect of portwright, please report it: {type(error).__name__}: {error}")
        if (
            out
            and isinstance(out[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))
            and not hasattr(out[-1], "hole")
        ):
            break  # what follows a hole is translated too, for whoever fills it
    return out


@statement(ast.Pass, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)
def nothing(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    return []


@statement(ast.Assert)
def assertion(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    """Held in every run; the reference refuses what breaks it, so the port need not repeat it."""
    return []


@statement(ast.Delete)
def delete(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    targets = cast(ast.Delete, node).targets
    if all(isinstance(t, ast.Name) or is_set_next(scope, node, t) for t in targets):
        return []
    raise HoleError("deletes an item or attribute")


def is_set_next(scope: Scope, node: ast.stmt, t: ast.expr) -> bool:
    """Whether the statement after a deletion assigns what was deleted."""
    holder = scope.function.parents.get(node)
    for body in (getattr(holder, name, None) for name in ("body", "orelse", "finalbody")):
        if isinstance(body, list) and node in body[:-1]:
            after = body[body.index(node) + 1]
            return isinstance(after, ast.Assign) and ast.unparse(t) in [ast.unparse(x) for x in after.targets]
    return False


@statement(ast.Continue, ast.Break)
def jump(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    return [type(node)()]


@statement(ast.Raise)
def raise_(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    return [reference_error(scope, cast(ast.Raise, node), scope.tests[-1] if scope.tests else None)]


@statement(ast.Expr)
def expression_(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    return expression_statement(scope, cast(ast.Expr, node).value)


@statement(ast.Assign)
def assignment(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    n = cast(ast.Assign, node)
    return [*guards(scope, n.value), *assign(scope, n.targets, n.value)]


@statement(ast.AugAssign)
def augmented(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    """`x += e` on a name makes a new value in MLX; a tensor that others may see cannot be changed in place."""
    n = cast(ast.AugAssign, node)
    t = n.target
    if isinstance(t, ast.Name):
        left, right = scope.expr(loaded(t)), scope.expr(n.value)
        if scope.is_last(loaded(t)):
            from portwright.codegen.emit.expressions import meet

            right = meet(scope, n.value, right, scope.rank(loaded(t)))
        else:
            right = first(scope, n.value, right)
        scope.local_literals.pop(t.id, None)
        kept = isinstance(left, ast.Name) and "tensor" not in scope.kinds(loaded(t))
        return (
            [ast.AugAssign(ast.Name(t.id, ast.Store()), n.op, right)]
            if kept  # an array would change under every name that holds it
            else [ast.Assign([ast.Name(t.id, ast.Store())], ast.BinOp(left, n.op, right))]
        )
    if isinstance(t, ast.Subscript):
        if scope.is_tensor(t.value) and not isinstance(t.value, (ast.Name, ast.Attribute)):
            raise HoleError("an item of a view is changed in place")
        if scope.is_tensor(t.value) and scope.is_last(t.value):
            place, right = last_item(scope, t, n.value, scope.expr(n.value))
            return [*own_copy(scope, t.value), ast.AugAssign(place, n.op, right)]
        if "bool" in scope.seen(t.slice).dtypes and "tensor" in scope.kinds(t.slice):
            return masked_change(scope, n, t)
        own = own_copy(scope, t.value) if scope.is_tensor(t.value) else []
        right = first(scope, n.value, scope.expr(n.value))
        return [*own, ast.AugAssign(cast(ast.Subscript, target(scope, t)), n.op, right)]
    if isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name) and t.value.id == scope.self_name:
        if not scope.facts.reads((scope.trace.owner,), t.attr):
            return []
        if "tensor" not in scope.kinds(n.value):
            return [ast.AugAssign(cast(ast.Attribute, target(scope, t)), n.op, scope.expr(n.value))]
    raise HoleError("in-place change of an attribute")


def masked_change(scope: Scope, n: ast.AugAssign, t: ast.Subscript) -> list[ast.stmt]:
    """`x[mask] *= number` of a name: the whole value where the mask says so."""
    rank, of_mask = scope.rank(t.value), scope.rank(t.slice)
    if not isinstance(t.value, ast.Name) or "tensor" in scope.kinds(n.value) or rank is None or of_mask is None:
        raise HoleError("items that a mask picks are changed in place")
    mask, x = scope.expr(t.slice), ast.Name(t.value.id, ast.Load())
    if rank > of_mask:
        mask = quote(f"m[..., {', '.join(['None'] * (rank - of_mask))}]", m=mask)
    changed = ast.BinOp(x, n.op, scope.expr(n.value))
    return [ast.Assign([ast.Name(t.value.id, ast.Store())], quote("mx.where(m, y, x)", m=mask, y=changed, x=x))]


def first(scope: Scope, source: ast.expr, translated: ast.expr) -> ast.expr:
    """A value that changes another in place, in the usual layout: the changed one keeps its own."""
    if "tensor" not in scope.kinds(source) or not scope.is_last(source):
        return translated
    return to_first(translated, scope.rank(source) or 0)


def loaded(node: ast.expr) -> ast.expr:
    """A store target, as the expression that reads it."""
    if isinstance(node, ast.Name):
        out: ast.expr = ast.copy_location(ast.Name(node.id, ast.Load()), node)
        out.number = getattr(node, "number", -1)  # type: ignore[attr-defined]
        return out
    return node


@statement(ast.If)
def branch(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    n = cast(ast.If, node)
    truth = scope.truth(n.test)
    if not truth:
        raise HoleError("a test that never ran")
    if (casts := casting_branch(scope, n)) is not None:
        return casts
    try:
        decision = decide(scope, n.test)
    except HoleError:
        if not all(hasattr(s, "marker") for s in (*block(scope, n.body), *block(scope, n.orelse))):
            raise
        return []  # a test on which nothing depends
    if decision.value is None:
        assert decision.test is not None
        return two_sided(scope, n, decision.test)
    taken, other = (n.body, n.orelse) if decision.value else (n.orelse, n.body)
    out = [*carried(scope, n, decision), *block(scope, taken)]
    if decision.assumption is None:
        return out
    validation = bool(other) and all(is_refusal(s) for s in other)
    if validation and decision.assumption.checked == "construction":
        return out  # the reference itself refuses such a config
    if validation and is_cached(scope.program) and asks_what_is_given(scope, n.test):
        return out  # mlx-lm gives tokens together with their embeddings
    if validation and not any(isinstance(s, ast.Raise) for s in other):
        return out  # a warning
    check = refuse(scope, n, decision.guard, other if validation else [])
    check.assumption = None if validation else decision.assumption  # type: ignore[attr-defined]
    check.bound = bound_names(n)  # type: ignore[attr-defined]
    effects = (
        validation
        or (scope.trace.fid, number(n.test)) in scope.facts.guards
        or any(has_effect(scope, s) for s in (*n.body, *n.orelse))
        or chooses_function(scope, n)
    )
    check.effects = effects  # type: ignore[attr-defined]
    if validation and decision.guard is None:
        return out
    return [check, *out]


def carried(scope: Scope, n: ast.If, decision: Decision) -> list[ast.stmt]:
    """A marker of what decided the test, which counts if either branch does anything."""
    if not decision.demands:
        return []
    made = ask(ast.Expr(ast.Constant("assumption")), *decision.demands)
    made.marker = True  # type: ignore[attr-defined]
    made.origin = n.lineno  # type: ignore[attr-defined]
    made.bound = bound_names(n)  # type: ignore[attr-defined]
    made.effects = any(has_effect(scope, s) for s in (*n.body, *n.orelse))  # type: ignore[attr-defined]
    return [made]


def asks_what_is_given(scope: Scope, test: ast.expr) -> bool:
    """Whether a test asks of arguments only whether they are None."""
    names = {x.id for x in ast.walk(test) if isinstance(x, ast.Name)}
    compares = [x for x in ast.walk(test) if isinstance(x, ast.Compare)]
    others = any(isinstance(x, (ast.Call, ast.Attribute, ast.Subscript)) for x in ast.walk(test))
    is_none = all(isinstance(x.ops[0], (ast.Is, ast.IsNot)) for x in compares)
    return bool(compares) and is_none and names <= set(scope.params) and not others


def two_sided(scope: Scope, n: ast.If, test: ast.expr) -> list[ast.stmt]:
    scope.tests.append(n.test)
    body, orelse = block(scope, n.body), block(scope, n.orelse)
    scope.tests.pop()
    if not body and not orelse:
        return []
    if not body:
        return [ast.If(negated(test), orelse, [])]
    return [ast.If(test, body, orelse)]


def refuse(scope: Scope, n: ast.If, guard: ast.expr | None, validation: list[ast.stmt]) -> ast.stmt:
    """The statement that stands for an assumption: a run-time refusal where one can be asked, else a marker."""
    if guard is None:
        made: ast.stmt = ast.Expr(ast.Constant("assumption"))
        made.marker = True  # type: ignore[attr-defined]
    else:
        own = next((s for s in validation if isinstance(s, ast.Raise)), None)
        fields = named_fields(scope, n.test) if scope.trace.fid in scope.program.constructing else ""
        text = f"not ported: {ast.unparse(unseen_side(scope, n.test))}{fields}"
        error = reference_error(scope, own, n.test) if own is not None else raise_error("NotImplementedError", text)
        made = ast.If(guard, [error], [])
    made.origin = n.lineno  # type: ignore[attr-defined]
    return made


def chooses_function(scope: Scope, n: ast.If) -> bool:
    """Whether a branch binds a name that holds a function: its call goes to the function itself and reads no name."""
    called = {c.func.id for c in ast.walk(scope.tree) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
    reads = (x for x in ast.walk(scope.tree) if isinstance(x, ast.Name) and "callable" in scope.kinds(x))
    return bool(bound_names(n) & (called | {x.id for x in reads}))


def bound_names(node: ast.AST) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


@statement(ast.While)
def while_(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    n = cast(ast.While, node)
    if True not in scope.truth(n.test):
        return branch(scope, ast.copy_location(ast.If(n.test, n.body, []), n))  # no run went round
    scope.nested += 1
    out = ast.While(scope.expr(n.test), block(scope, n.body), [])
    scope.nested -= 1
    return [out]


@statement(ast.For)
def for_(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    n = cast(ast.For, node)
    cache = cache_of_loop(scope.program, scope.function, n) if is_cached(scope.program) else ""
    scope.nested += 1
    scope.cache_in_loop = cache
    ran = any(scope.seen(x).n for s in n.body for x in ast.walk(s))
    empty = None if ran else emptied(scope, n)
    if empty is not None:
        return [empty]
    body = block(scope, n.body) if ran else unseen(scope, n)
    scope.cache_in_loop = ""
    scope.nested -= 1
    if n.orelse:
        raise HoleError("for ... else")
    if all(is_idle(s) for s in body):
        return []
    inside = [x for s in n.body for x in ast.walk(s)]
    if any(isinstance(x, ast.Call) for x in inside) and not any(scope.seen(x).n for x in inside):
        body = [raise_error("NotImplementedError", unseen_loop(scope, n))]
    made = ast.For(target(scope, n.target), elements(scope, n.iter), body, [])
    if cache:
        made = with_layer_caches(scope, n, made)
    return [counted(made)]


def unseen(scope: Scope, n: ast.For) -> list[ast.stmt]:
    """The body of a loop that never went round: the port refuses to."""
    reads = [x for s in n.body for x in ast.walk(s) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Load)]
    if not scope.seen(n.iter).n or not reads:
        return block(scope, n.body)  # a loop that was never reached, or a body in which nothing can be seen
    refusal = raise_error("NotImplementedError", unseen_loop(scope, n))
    refusal.origin = n.lineno  # type: ignore[attr-defined]
    return [refusal]


def unseen_loop(scope: Scope, n: ast.For) -> str:
    return f"not ported: nothing was seen of the loop over {ast.unparse(n.iter)}{named_fields(scope, n.iter)}"


@statement(ast.FunctionDef)
def nested_function(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    n = cast(ast.FunctionDef, node)
    scope.nested += 1
    scope.in_function += 1
    body = block(scope, n.body)
    scope.nested -= 1
    scope.in_function -= 1
    return [ast.FunctionDef(n.name, bare_arguments(n.args), body or [ast.Pass()], [], None, type_params=[])]  # type: ignore[call-arg,unused-ignore]


def bare_arguments(a: ast.arguments) -> ast.arguments:
    """Arguments without annotations."""
    bare = [[ast.arg(x.arg) for x in part] for part in (a.posonlyargs, a.args, a.kwonlyargs)]
    vararg = ast.arg(a.vararg.arg) if a.vararg else None
    kwarg = ast.arg(a.kwarg.arg) if a.kwarg else None
    return ast.arguments(bare[0], bare[1], vararg, bare[2], a.kw_defaults, kwarg, a.defaults)


@statement(ast.Return)
def return_(scope: Scope, node: ast.stmt) -> list[ast.stmt]:
    n = cast(ast.Return, node)
    if n.value is None:
        return [ast.Return(None)]
    if scope.nested:
        return [ast.Return(scope.expr(n.value))]
    fid, value = scope.trace.fid, n.value
    result = scope.results.get(fid)
    if result is None:
        return [ast.Return(outward(scope, value))]
    elements = (
        None
        if isinstance(value, ast.Name) and value.id in scope.parts
        else returned_elements(scope.function, value, scope.results)
    )
    if elements is None and isinstance(value, ast.Name):
        return [returned_parts(scope, value, result)]
    used = scope.work.used(fid)
    if elements is None:
        return pass_through(scope, cast(ast.Call, value), used, result)
    returned = [e for i, e in enumerate(elements) if i in used]
    out = [outward(scope, e) for e in returned]
    if scope.is_root_entry:
        out = [e for e in out if not (isinstance(e, ast.Constant) and e.value is None)]
    several = scope.is_root_entry and any(scope.kinds(e) & {"tuple", "list", "dict"} for e in returned)
    several |= not scope.is_root_entry and scope.work.is_single(fid)
    if len(out) == 1 and not several:  # the root keeps a list of tensors apart from a list of results
        return [ast.Return(out[0])]
    return [ast.Return(ast.Tuple(out, ast.Load()) if out else None)]
