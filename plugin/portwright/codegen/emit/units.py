"""Calls of rewritten functions: only the arguments that the callee still reads are passed."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from portwright.codegen.emit.behind import given_fields
from portwright.codegen.emit.choices import choices, chosen_keywords
from portwright.codegen.emit.keywords import is_own, passed_on, spread
from portwright.codegen.emit.names import empty_variadic
from portwright.codegen.emit.provenance import traced
from portwright.codegen.emit.results import result_callees
from portwright.codegen.emit.scope import Scope, expanded_keywords, keyword_name
from portwright.codegen.facts.record import UNKNOWN, VARIES, Demand, ask, assumed_in
from portwright.codegen.holes import HoleError
from portwright.codegen.idioms.experts import Translated
from portwright.codegen.layout import to_first, to_last
from portwright.codegen.program import Function
from portwright.codegen.quote import is_literal, plain
from portwright.codegen.runtime.caches import cache_last
from portwright.codegen.tidy.inline import inlined
from portwright.codegen.trace import Callee


@dataclass
class Arguments:
    """What a call site gives, by the callee's parameter names."""

    named: dict[str, ast.expr]  # parameter -> source expression
    positional: list[str]  # parameters given by position, in order
    star: list[ast.expr]  # what goes to *args
    dynamic: list[ast.expr]  # `**x` that is no literal dict


def bind(scope: Scope, n: ast.Call, callee: Function, skip_self: bool) -> Arguments:
    """Match a call's arguments to the callee's parameters. Raises HoleError on what only run time could match."""
    a = callee.tree.args
    places = [x.arg for x in (*a.posonlyargs, *a.args)][1 if skip_self else 0 :]
    out = Arguments({}, [], [], [])
    for index, value in enumerate(n.args):
        if isinstance(value, ast.Starred):
            if isinstance(value.value, ast.Name) and empty_variadic(scope, value.value) is not None:
                continue  # nothing ever arrived by it
            if index >= len(places) and a.vararg:
                out.star.append(value)
                continue
            spread = spread_items(scope, value)
            for place, item in zip(places[index:], spread, strict=False):
                out.named[place] = item
                out.positional.append(place)
            if index != len(n.args) - 1 or len(spread) > len(places) - index:
                raise HoleError("*arguments among others")
            continue
        if index < len(places):
            out.named[places[index]] = value
            out.positional.append(places[index])
        else:
            out.star.append(value)
    for k in expanded_keywords(scope, n):
        if k.arg is not None:
            out.named[k.arg] = k.value
        else:
            out.dynamic.append(k.value)
    return out


def spread_items(scope: Scope, value: ast.Starred) -> list[ast.expr]:
    """The items of `*xs`, one by one, where xs always holds as many."""
    seen = scope.seen(value.value)
    if len(seen.lens) != 1 or "cl" in seen.element_tags:
        raise HoleError("*arguments of a rewritten function")
    items = scope.expr(value.value)
    count = range(next(iter(seen.lens)))
    return [Translated(ast.Constant(i), ast.Subscript(items, ast.Constant(i), ast.Load())) for i in count]


def unit_call(
    scope: Scope, n: ast.Call, callees: tuple[Callee, ...], function: ast.expr | None = None, constructs: str = ""
) -> ast.expr:
    """Emit the call. With several callees they keep the same parameters and the call stays as dynamic as it was."""
    work = scope.work
    fids = tuple(sorted({c.fid for c in callees}))
    for fid in fids:
        work.translate(fid)
    if not constructs and function is None and by_position(scope, n, callees):
        return positional_call(scope, n, callees)
    kept: list[str] = []
    for fid in fids:
        kept += [q for q in work.kept(fid) if q not in kept]
    first = work.program.functions[fids[0]]
    in_front = first.trace.binding in ("method", "class") or takes_context(scope, first)
    given = bind(scope, n, first, skip_self=in_front)
    demands = [*[Demand("call", f) for f in fids], *chosen_keywords(scope, n)]
    if len(fids) > 1:
        demands += [Demand("forced", f, tuple(kept)) for f in fids] + [Demand("group", fids)]
        check_alike(scope, n, callees)
    demands += [d for fid in fids for d in evidence(scope, n, work.program.functions[fid], given)]
    args, keywords = arguments(scope, n, given, kept, first)
    in_order = cache_last(scope.program, first.fid, [q for q in first.parameters if q in kept])
    if len(fids) == 1 and not given.star:
        args, keywords = shortened(args, keywords, in_order)
    elif len({tuple(q for q in work.kept(f) if q in kept) for f in fids}) > 1 and not given.star:
        keywords = [*[ast.keyword(q, a) for q, a in zip(in_order, args, strict=False)], *keywords]
        args = []  # each has its own order
    if len(fids) > 1 and (constructs or (function is None and holds_function(scope, n))):
        check_names([work.program.functions[f] for f in fids], given.positional, [q for q in kept if q in given.named])
        function = function or scope.expr(n.func)
        placed = [q for q in given.positional if q in kept]
        keywords = [*[ast.keyword(q, a) for q, a in zip(placed, args, strict=False)], *keywords]
        args = []
    elif function is None:
        function = callee_expression(scope, n, callees, first)
    emitted = ask(ast.Call(function, args, keywords), *demands)
    out: ast.expr = emitted
    if not constructs:
        replaced = inlined(work, fids, emitted) if len(fids) == 1 else None
        if replaced is not None:
            out = ask(replaced, *[d for d in demands if d.kind != "call"])
            if isinstance(replaced, ast.Name):  # `x = x` goes, and what the call gave must still be known
                scope.relied += [d for d in demands if d.kind in ("arg", "origin")]
        if result_callees(scope, n):
            out.result_of = fids  # type: ignore[attr-defined]
        elif scope.is_tensor(n) and scope.is_last(n) and any(scope.is_outer(f) for f in fids):
            out = to_last(out, scope.rank(n) or 0)  # it comes in the reference's layout
    return out


def by_position(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> bool:
    """Whether modules of several classes share a call that gives positions only, under names that differ."""
    if {c.sort for c in callees} != {"module"} or any(isinstance(a, ast.Starred) for a in n.args):
        return False
    if any(k.arg is None and not is_passed_on(scope, k.value) for k in n.keywords):
        return False
    taken = {tuple(scope.program.functions[c.fid].parameters[1 : 1 + len(n.args)]) for c in callees}
    return len(taken) > 1 and {len(t) for t in taken} == {len(n.args)}


def is_passed_on(scope: Scope, node: ast.expr) -> bool:
    """Whether `**x` hands on the function's own keywords, and none that counts arrived by it."""
    return is_own(scope, node) and not scope.trace.starred


def positional_call(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> ast.expr:
    """The call with every position given, which each callee keeps whether it reads it or not."""
    fids = tuple(sorted({c.fid for c in callees}))
    check_alike(scope, n, callees)
    demands = [Demand("call", f) for f in fids] + [Demand("group", fids)]
    for fid in fids:
        callee = scope.program.functions[fid]
        places = callee.parameters[1 : 1 + len(n.args)]
        demands.append(Demand("forced", fid, tuple(places)))
        demands += evidence(scope, n, callee, bind(scope, n, callee, skip_self=True))
    called = callee_expression(scope, n, callees, scope.program.functions[fids[0]])
    kept = {q for fid in fids for q in scope.work.kept(fid)}
    named = [k for k in n.keywords if k.arg is not None and k.arg in kept]
    for k in named:
        for fid in fids:
            if k.arg not in scope.program.functions[fid].parameters:
                raise HoleError("callees whose parameters have different names")
            demands.append(Demand("forced", fid, (k.arg,)))
    keywords = [ast.keyword(k.arg, scope.expr(k.value)) for k in named]
    out = ask(ast.Call(called, [scope.expr(a) for a in placed(scope, n, fids, bool(named))], keywords), *demands)
    if result_callees(scope, n):
        out.result_of = fids  # type: ignore[attr-defined]
    return out


def placed(scope: Scope, n: ast.Call, fids: tuple[str, ...], named: bool) -> list[ast.expr]:
    """Positional arguments in the order of the callees' parameters in the port, which must be one."""
    orders = set()
    for fid in fids:
        places = scope.program.functions[fid].parameters[1 : 1 + len(n.args)]
        orders.add(tuple(places.index(q) for q in cache_last(scope.program, fid, places)))
    order = orders.pop()
    if orders or (named and list(order) != sorted(order)):
        raise HoleError("callees that have a cache among their parameters in different places")
    return [n.args[i] for i in order]


def arguments(
    scope: Scope, n: ast.Call, given: Arguments, kept: list[str], callee: Function
) -> tuple[list[ast.expr], list[ast.keyword]]:
    """The arguments that are passed on, positional where the reference has them so."""
    args: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    in_order = cache_last(scope.program, callee.fid, [q for q in callee.parameters if q in kept])
    for q in given.positional:
        if q in kept:
            if in_order[len(args) : len(args) + 1] == [q] and not keywords:
                args.append(given_value(scope, given.named[q], callee))
            else:
                keywords.append(ast.keyword(q, given_value(scope, given.named[q], callee)))
    args += [scope.expr(v) for v in given.star] if scope.work.vararg(callee.fid) else []
    keywords += [
        ast.keyword(q, given_value(scope, v, callee))
        for q, v in given.named.items()
        if q in kept and q not in given.positional
    ]
    seen = scope.seen(n)
    for q in kept:
        if q in given.named or q not in seen.starred or not given.dynamic:
            continue
        value = passed_on(scope, q, from_keywords(scope, given.dynamic, q), dict(callee.trace.defaults))
        keywords.append(ast.keyword(q, value))
    return args, [*keywords, *spread(scope, n, given.dynamic)]


def shortened(
    args: list[ast.expr], keywords: list[ast.keyword], names: list[str]
) -> tuple[list[ast.expr], list[ast.keyword]]:
    """`f(x=x)` as `f(x)`, where x is the next parameter anyway: the name is said once."""
    for q in names[len(args) :]:
        alike = [k for k in keywords if k.arg == q and isinstance(k.value, ast.Name) and k.value.id == q]
        if not alike:
            break
        args, keywords = [*args, alike[0].value], [k for k in keywords if k is not alike[0]]
    return args, keywords


def given_value(scope: Scope, value: ast.expr, callee: Function) -> ast.expr:
    """An argument; one that crosses a boundary that users see goes there in the reference's layout."""
    translated = scope.expr(value)
    if scope.is_outer(callee.fid) and "tensor" in scope.kinds(value) and scope.is_last(value):
        return to_first(translated, scope.rank(value) or 0)
    return translated


def from_keywords(scope: Scope, dynamic: list[ast.expr], name: str) -> ast.expr:
    """An argument that arrived through `**kwargs`: named from here on."""
    if len(dynamic) != 1:
        raise HoleError(f"{name} arrives through several ** arguments")
    source = dynamic[0]
    a = scope.tree.args
    if isinstance(source, ast.Name) and a.kwarg and source.id == a.kwarg.arg:
        return keyword_name(scope, name)
    return ast.Subscript(scope.expr(source), ast.Constant(name), ast.Load())


def evidence(scope: Scope, n: ast.Call, callee: Function, given: Arguments) -> list[Demand]:
    """What this call site says about each parameter that was always one value: that literal, or that it varies."""
    out = []
    named = callee.parameters
    if callee.trace.owner and callee.fid not in scope.program.constructing:  # of a method, only what chooses code
        named = [q for q in named if q in callee.trace.params and callee.trace.params[q].kinds == {"str"}]
    out += [*origins(scope, callee, given, named), *given_fields(scope, n, callee, given.named)]
    reached = [value for q, value in given.named.items() if (callee.fid, q) in scope.facts.chosen]
    out += [Demand("assume", a) for value in reached for a in choices(scope, value, 1)]
    out += handed_on(scope, n, callee, given)
    for q in callee.parameters:
        seen = callee.trace.params.get(q)
        if seen is None or not seen.const:
            continue
        if q in given.named:
            try:
                value = scope.expr(given.named[q])
            except HoleError:
                value = ast.Name(VARIES, ast.Load())
            said = repr(plain(value)) if is_literal(value) else VARIES
            inner = scope.work.scope(callee.fid)
            if is_literal(value) and (q in inner.folded or q in inner.entry_literals):
                out += assumed_in(value)  # the argument is not passed on, but the callee relies on it
        elif q in scope.seen(n).starred:
            said = keyword_evidence(scope, q)
        elif q in callee.trace.defaults:
            said = repr(callee.trace.defaults[q])
        else:
            continue
        out.append(Demand("arg", callee.fid, q, said))
    return out


def handed_on(scope: Scope, n: ast.Call, callee: Function, given: Arguments) -> list[Demand]:
    """Callables that arrive through our own **kwargs: whoever gives them says what chose them."""
    through = [q for q in sorted(scope.seen(n).starred - given.named.keys()) if (callee.fid, q) in scope.facts.chosen]
    if through and not all(is_own(scope, d) for d in given.dynamic):
        raise HoleError(f"{through[0]}, which is called, arrives by ** of a dict")
    return [Demand("chosen", scope.trace.fid, q) for q in through]


def origins(scope: Scope, callee: Function, given: Arguments, named: list[str]) -> list[Demand]:
    """Where these arguments come from: config fields, a literal, or nobody knows ("?")."""
    out = []
    for q in named:
        if q in given.named:
            out += [Demand("origin", callee.fid, q, text) for text in sources(scope, given.named[q])]
        elif q in callee.trace.defaults:
            out.append(Demand("origin", callee.fid, q, repr(callee.trace.defaults[q])))
    return out


def sources(scope: Scope, value: ast.expr) -> list[str]:
    """What an argument comes from: one expression, or all that a parameter comes from which is handed on as it is."""
    found = value if is_literal(value) else traced(scope, value)
    if found is not None:
        return [ast.unparse(found)]
    if isinstance(value, ast.Name) and value.id in scope.params and scope.reached_stores.get(value.id) == 1:
        return sorted(scope.facts.origins.get((scope.trace.fid, value.id), ())) or [UNKNOWN]
    return [UNKNOWN]


def keyword_evidence(scope: Scope, name: str) -> str:
    """A parameter that arrives through our own **kwargs is as constant as it is there."""
    return repr(scope.folded[name]) if name in scope.folded else VARIES


def check_alike(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> None:
    """Several callees may share a call only where run time picks the right one by itself."""
    sorts = {c.sort for c in callees}
    if sorts == {"object"} and isinstance(n.func, ast.Attribute):
        if len({scope.results.get(c.fid) for c in callees}) > 1:
            raise HoleError("callees that return different numbers of values")
        return  # functions kept as attributes: each module holds the one that it was made with
    if sorts <= {"function", "method"} and holds_function(scope, n):
        if len({scope.results.get(c.fid) for c in callees}) > 1:
            raise HoleError("callees that return different numbers of values")
        return
    if sorts == {"class"}:
        return
    if sorts == {"module"} or (sorts == {"method"} and isinstance(n.func, ast.Attribute)):
        if len({scope.results.get(c.fid) for c in callees}) > 1:
            raise HoleError("callees that return different numbers of values")
        return
    raise HoleError("one call, several callees: " + ", ".join(sorted(c.name for c in callees)))


def takes_context(scope: Scope, callee: Function) -> bool:
    """Whether a function is the forward of a torch.autograd.Function, which torch gives a context first."""
    return scope.work.is_autograd(callee.trace.owner) and callee.parameters[:1] == ["ctx"]


def check_names(callees: list[Function], positional: list[str], kept: list[str]) -> None:
    """Arguments are given by name to callees that run time chooses among, so the names must be the same."""
    for c in callees:
        names = c.parameters[1:] if c.is_method else c.parameters
        unknown = set() if c.tree.args.kwarg is not None else set(kept) - set(names)
        if names[: len(positional)] != positional or unknown:
            raise HoleError("callees whose parameters have different names")


def holds_function(scope: Scope, n: ast.Call) -> bool:
    """Whether a call goes through a local name that the function itself binds: run time knows what it holds."""
    return isinstance(n.func, ast.Name) and n.func.id in scope.reached_stores and n.func.id not in scope.params


def callee_expression(scope: Scope, n: ast.Call, callees: tuple[Callee, ...], callee: Function) -> ast.expr:
    """What is called: the submodule, the method, or the function by its own name whatever the variable was."""
    sort = callees[0].sort
    f = n.func
    titles = {scope.work.function_title(c.fid) for c in callees}
    if len(titles) > 1:
        raise HoleError("one call reaches several variants of a method: " + ", ".join(sorted(titles)))
    if sort == "module":
        called = scope.expr(f)
        return called if titles == {"__call__"} else ast.Attribute(called, titles.pop(), ast.Load())
    if sort == "method" and isinstance(f, ast.Attribute):
        if callee.trace.binding == "class" or (callee.trace.owner and "module" not in scope.kinds(f.value)):
            is_self = isinstance(f.value, ast.Name) and f.value.id == scope.self_name
            if not is_self and not scope.seen(f.value).types:
                raise HoleError(f"the method {f.attr} of an object that is no module")
        title = scope.work.function_title(callee.fid)
        return ast.Attribute(scope.expr(f.value), title, ast.Load())
    if sort == "function" and (not callee.trace.owner or scope.work.is_autograd(callee.trace.owner)):
        return scope.work.function_name(scope, callee.fid)
    if (
        sort == "function"
        and callee.trace.binding == "static"
        and not isinstance(f, ast.Attribute)
        and callee.trace.owner in scope.program.lineage(scope.trace.owner)
        and scope.self_name
    ):
        return ast.Attribute(ast.Name(scope.self_name, ast.Load()), callee.trace.name, ast.Load())
    static = sort == "function" and callee.trace.binding == "static"
    if static and isinstance(f, ast.Name) and scope.program.is_module(callee.trace.owner):
        owner = ast.Name(scope.work.class_title(callee.trace.owner), ast.Load())  # under a name of the Python module's
        return ask(ast.Attribute(owner, callee.trace.name, ast.Load()), Demand("class", callee.trace.owner))
    if sort == "function" and callee.trace.binding == "static" and isinstance(f, ast.Attribute):
        return ast.Attribute(scope.expr(f.value), callee.trace.name, ast.Load())
    if sort == "object" and (len({c.fid for c in callees}) > 1 or scope.work.is_in_class(callees[0].fid)):
        return scope.expr(f)
    if sort == "object":
        return scope.work.function_name(scope, callee.fid)
    if sort == "function" and isinstance(f, ast.Attribute):
        return ast.Attribute(scope.expr(f.value), callee.trace.name, ast.Load())
    raise HoleError(f"a call of {callee.trace.name} through {ast.unparse(f)}")
