"""What chose a callee that is written out by its own name: table keys, tests and names that other configs may change.

`table[config.kind](x)`, `f = a if config.flag else b`, `f = a; if flag: f = b` and `self.f = f` all leave one callee in
the port. Each value that decided it is traced to the config and checked at construction, or is listed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from portwright.codegen.emit.configs import holders
from portwright.codegen.emit.provenance import DEPTH, assigned, over_config, settled, traced
from portwright.codegen.emit.prune import decide
from portwright.codegen.emit.scope import Scope, chosen_dict
from portwright.codegen.facts.record import Demand
from portwright.codegen.holes import Assumption, HoleError
from portwright.codegen.quote import is_literal, literal, stores
from portwright.codegen.source import number

Binds = Callable[[ast.expr], bool]  # whether an assignment's target is the one asked for


def choices(scope: Scope, f: ast.expr, depth: int = 0) -> list[Assumption]:
    """The assumptions under which an expression is the one callable that it was seen to be.

    Raises HoleError where a test that only run time can ask chose it.
    """
    if depth > DEPTH:
        return []
    if isinstance(f, ast.Subscript) and not isinstance(f.slice, (ast.Slice, ast.Tuple)):
        return key(scope, f, f.slice)
    if isinstance(f, ast.Call) and {c.name for c in scope.seen(f).callees} == {"partial"} and f.args:
        bound_values = (*f.args[1:], *[k.value for k in f.keywords])
        return choices(scope, f.args[0], depth + 1) + [a for x in bound_values for a in bound_by(scope, f, x)]
    if isinstance(f, ast.Call):
        return looked_up(scope, f) + choices(scope, f.func, depth + 1)
    if isinstance(f, ast.IfExp):
        arms = [a for a, way in ((f.body, True), (f.orelse, False)) if way in scope.truth(f.test)]
        around = [] if is_name_or_function(f) else tested(scope, f.test)
        return around + [a for arm in arms for a in choices(scope, arm, depth + 1)]
    if isinstance(f, ast.BoolOp):
        found = [a for v in f.values[:-1] for a in passed_over(scope, v)]
        return found + [
            a for v in f.values if scope.truth(v) or v is f.values[-1] for a in choices(scope, v, depth + 1)
        ]
    if isinstance(f, ast.Name) and f.id in scope.params:
        scope.relied.append(Demand("chosen", scope.trace.fid, f.id))
        return bound(scope, depth, lambda t: f.id in stores(t), asked=depth == 0)
    if isinstance(f, ast.Name) and f.id in scope.locals and f.id not in scope.params:
        return bound(scope, depth, lambda t: f.id in stores(t), asked=depth == 0)
    if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.value.id == scope.self_name:
        fid = scope.program.init_of(scope.trace.owner)
        if fid and f.attr in scope.program.stored_attributes:
            inner = scope if fid == scope.trace.fid else scope.work.scope(fid)
            return bound(inner, depth, lambda t: is_own(inner, t, f.attr))
    return []


def bound_by(scope: Scope, f: ast.Call, value: ast.expr) -> list[Assumption]:
    """That what a partial binds is what it was: another callable, or a value."""
    if scope.kinds(value) & {"callable"}:
        return choices(scope, value, DEPTH - 1)
    return key(scope, f, value)


def passed_over(scope: Scope, operand: ast.expr) -> list[Assumption]:
    """What an operand of `a or b` takes for granted by its truth: of a call, what it is given."""
    if isinstance(operand, ast.Call):
        given = (*operand.args, *[k.value for k in operand.keywords])
        return [a for x in given for a in key(scope, operand, x)]
    return tested(scope, operand)


def chosen_keywords(scope: Scope, n: ast.Call) -> list[Demand]:
    """What a call takes for granted whose `**` of a dict is written out: the tests that chose the dict."""
    tests = [t for k in n.keywords if k.arg is None for t in chosen_dict(scope, k.value)[1]]
    return [Demand("assume", a) for t in tests for a in tested(scope, t)]


def is_name_or_function(f: ast.IfExp) -> bool:
    """`table[x] if isinstance(x, str) else x`: a saved config holds names, never functions."""
    return ast.unparse(f.test) == f"isinstance({ast.unparse(f.orelse)}, str)"


def is_own(scope: Scope, target: ast.expr, attr: str) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and target.attr == attr
        and isinstance(target.value, ast.Name)
        and target.value.id == scope.self_name
    )


def looked_up(scope: Scope, f: ast.Call) -> list[Assumption]:
    """`getattr(x, name)`, `table.get(name)`, a factory that is given a name, a layer made with these arguments."""
    sorts = {c.sort for c in scope.seen(f).callees}
    given = (*f.args, *[k.value for k in f.keywords])
    if sorts <= {"builtin", "function", "method"}:
        given = tuple(a for a in given if is_text(scope, a))
    return [a for arg in given for a in key(scope, f, arg)]


def is_text(scope: Scope, node: ast.expr) -> bool:
    return bool(scope.kinds(node) & {"str"})


def key(scope: Scope, source: ast.expr, node: ast.expr) -> list[Assumption]:
    """That a key is what it was. Raises HoleError for a parameter that call sites are known to give differently."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return [a for item in node.elts for a in key(scope, source, item)]
    seen = scope.seen(node)
    if is_literal(node) or settled(scope, node) or not seen.n or seen.kinds & {"module", "tensor"}:
        return []
    text = ast.unparse(source)
    config = over_config(scope, node)
    if config is not None and seen.const:
        test = ast.Compare(config, [ast.Is() if seen.consts[0] is None else ast.Eq()], [literal(seen.consts[0])])
        return [Assumption(scope.where(source), text, True, "construction", ast.unparse(test))]
    if config is not None and seen.consts and not seen.mixed:
        test = ast.Compare(config, [ast.In()], [literal(tuple(seen.consts))])
        return [Assumption(scope.where(source), text, True, "construction", ast.unparse(test))]
    if isinstance(node, ast.Name) and node.id in scope.params:
        return [a for given in sorted(alternatives(scope, node.id)) for a in from_origin(scope, source, node, given)]
    if seen.const and is_askable(scope, node):
        scope.work.demanded.append(Demand("guard", scope.trace.fid, number(node)))
        return []
    return [Assumption(scope.where(source), text, True, "no")]


def is_askable(scope: Scope, node: ast.expr) -> bool:
    """Whether a constructor can ask an item or an attribute itself, in front of the statement that it stands in."""
    if scope.trace.name != "__init__" or not isinstance(node, (ast.Subscript, ast.Attribute)):
        return False
    above: ast.AST = node
    while above in scope.function.parents and not isinstance(above, ast.stmt):
        above = scope.function.parents[above]
        if isinstance(above, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)):
            return False
    if not isinstance(above, ast.Assign):
        return False
    try:
        return not is_literal(scope.expr(node))
    except HoleError:
        return False


def alternatives(scope: Scope, name: str) -> frozenset[str]:
    """Where a parameter's value comes from at a choice: what call sites give, or what the function puts for None."""
    given = scope.facts.origins.get((scope.trace.fid, name), frozenset())
    if scope.reached_stores.get(name) == 1:
        return given
    values = assigned(scope, lambda t: isinstance(t, ast.Name) and t.id == name)
    only = values[0] if len(values) == 1 else None
    if (
        not isinstance(only, ast.IfExp)
        or ast.unparse(only.test) != f"{name} is not None"
        or ast.unparse(only.body) != name
    ):
        return frozenset({"?"})
    found = traced(scope, only.orelse)
    return (given - {"None"}) | {ast.unparse(found) if found is not None else "?"}


def from_origin(scope: Scope, source: ast.expr, node: ast.Name, given: str) -> list[Assumption]:
    """What one origin of a parameter takes for granted: a literal nothing, a config field that it stays as seen.

    Raises HoleError for a literal that was not seen here, unless a test around keeps it out, and for unknown origins.
    """
    seen = scope.seen(node)
    if given in {repr(c) for c in seen.consts} or (given == "None" and is_kept_out(scope, node)):
        return []
    if "?" not in given and holders(given) and seen.consts and not seen.mixed:
        allowed = (*seen.consts, None) if is_kept_out(scope, node) else seen.consts
        right = (ast.Eq(), literal(allowed[0])) if len(allowed) == 1 else (ast.In(), literal(tuple(allowed)))
        test = ast.Compare(ast.parse(given, mode="eval").body, [right[0]], [right[1]])
        return [Assumption(scope.where(source), ast.unparse(source), True, "construction", ast.unparse(test))]
    raise HoleError(f"a callable that {node.id} chooses, which comes from {given}")


def is_kept_out(scope: Scope, node: ast.Name) -> bool:
    """Whether a test around an expression lets None not reach it: `f(x) if x is not None else g`."""
    inner: ast.AST = node
    while inner in scope.function.parents:
        outer = scope.function.parents[inner]
        if isinstance(outer, (ast.IfExp, ast.If)) and inner is not outer.test:
            text = ast.unparse(outer.test)
            positive = inner is outer.body or (isinstance(outer.body, list) and inner in outer.body)
            if text in ((node.id, f"{node.id} is not None") if positive else (f"{node.id} is None", f"not {node.id}")):
                return True
        inner = outer
    return False


def tested(scope: Scope, test: ast.expr, asked: bool = False) -> list[Assumption]:
    """What a test that chose takes for granted. `asked`: its branch leaves a refusal in the port, at run time."""
    if len(scope.truth(test)) != 1:
        return []
    decision = decide(scope, test)
    if decision.guard is not None and asked:
        return []
    if decision.guard is not None and scope.trace.name == "__init__":
        scope.work.demanded.append(Demand("guard", scope.trace.fid, number(test)))  # the constructor asks it itself
        return []
    if decision.guard is not None:
        raise HoleError(f"a callable that {ast.unparse(test)} chooses")
    scope.relied += [d for d in decision.demands if d.kind != "assume"]
    parts = [d.a for d in decision.demands if d.kind == "assume"]  # what makes the test a literal in the port
    return parts if decision.assumption is None else [decision.assumption, *parts]


def bound(scope: Scope, depth: int, binds: Binds, asked: bool = False) -> list[Assumption]:
    """What the assignments of a name or attribute take for granted, and the tests around them."""
    found: list[Assumption] = []
    for s, around in assignments(scope.tree.body, (), binds):
        for test in around:
            found += tested(scope, test, asked)
        if all(scope.truth(t) for t in around):
            found += choices(scope, s.value, depth + 1)
    return found


def assignments(
    body: list[ast.stmt], around: tuple[ast.expr, ...], binds: Binds
) -> Iterator[tuple[ast.Assign, tuple[ast.expr, ...]]]:
    """The assignments that bind something, each with the tests of the branches that it stands in."""
    for s in body:
        if isinstance(s, ast.Assign) and any(binds(t) for t in s.targets):
            yield s, around
        inner = (*around, s.test) if isinstance(s, ast.If) else around
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(s, (ast.FunctionDef, ast.ClassDef)):
                yield from assignments(getattr(s, name, []), inner, binds)
