"""Trace an expression back to config fields, so that what it decides can be checked when a port is constructed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from portwright.codegen.emit import records
from portwright.codegen.emit.configs import config_keys, field_of, holder, holds
from portwright.codegen.emit.passed_over import passed_over
from portwright.codegen.emit.properties import is_computed, is_saved
from portwright.codegen.emit.reduced import chosen_arms, reduced
from portwright.codegen.emit.scope import grows
from portwright.codegen.emit.stores import ancestors, stores_of
from portwright.codegen.facts.record import assumed_in
from portwright.codegen.quote import is_literal, literal, plain

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

PURE_CALLS = frozenset({"int", "float", "bool", "len", "str", "isinstance", "min", "max", "abs", "tuple", "list"})
PURE_METHODS = frozenset({"startswith", "endswith", "lower", "upper", "strip", "split"})
LITERAL_TYPES = {"str": str, "bool": bool, "int": int, "float": float, "list": list, "tuple": tuple, "dict": dict}
DEPTH = 8
COMBINATIONS = 64
# Config fields that say how the library runs a model: a port without a cache gives the same numbers.
RUN_FIELDS = frozenset({"use_cache"})


def over_config(scope: Scope, node: ast.expr, depth: int = 0) -> ast.expr | None:
    """The expression in terms of `self.<config field>`; None when it reads anything else, or no field at all."""
    found = rewritten(scope, node, depth)
    found = reduced(found) if found is not None else None
    if found is None or not any(isinstance(n, ast.Attribute) for n in ast.walk(found)):
        return None
    return found if not records.holds_record(found) else None


def over_alternatives(scope: Scope, test: ast.expr, value: bool) -> ast.expr | None:
    """A test over config fields where call sites give several literals for a parameter that it reads: it must hold
    for each of them. None when it reads anything else."""
    names = sorted(q for q in scope.params if len(scope.facts.origins.get((scope.trace.fid, q), frozenset())) > 1)
    for q in names:
        origins = sorted(scope.facts.origins[scope.trace.fid, q])
        trees = [ast.parse(text, mode="eval").body for text in origins if text != "?"]
        if len(trees) != len(origins) or not all(is_literal(t) for t in trees) or scope.reached_stores.get(q) != 1:
            continue
        found = []
        for tree in trees:
            scope.supposed[q] = tree
            made = rewritten(scope, test, 0)
            del scope.supposed[q]
            found.append(reduced(chosen_arms(made)) if made is not None else None)
        parts = [p for p in found if p is not None]
        if len(parts) != len(trees) or any(isinstance(p, ast.Constant) and bool(p.value) != value for p in parts):
            continue
        parts = [p for p in parts if not isinstance(p, ast.Constant)]
        if parts:
            return parts[0] if len(parts) == 1 else ast.BoolOp(ast.And() if value else ast.Or(), parts)
    return None


def traced(scope: Scope, node: ast.expr) -> ast.expr | None:
    """The expression in terms of config fields, or the literal that it always is; None when neither is known."""
    found = rewritten(scope, node, 0)
    found = reduced(found) if found is not None else None
    if found is None or is_literal(found) or any(isinstance(n, ast.Attribute) for n in ast.walk(found)):
        return found
    return None


def settled(scope: Scope, test: ast.expr) -> bool:
    """Whether a test cannot go another way, whatever the config."""
    found = rewritten(scope, test, 0)
    if found is not None and isinstance(reduced(found), ast.Constant):
        return True
    answers = {decided(scope, test, given) for given in given_literals(scope, test)}
    return len(answers) == 1 and None not in answers


def given_literals(scope: Scope, test: ast.expr) -> list[Mapping[str, ast.expr]]:
    """Every combination of what call sites give for the parameters in a test, where they give several literals."""
    out: list[Mapping[str, ast.expr]] = [{}]
    for q in sorted({n.id for n in ast.walk(test) if isinstance(n, ast.Name)} & set(scope.params)):
        origins = scope.facts.origins.get((scope.trace.fid, q), frozenset())
        if scope.reached_stores.get(q) != 1 or not origins:
            continue
        trees = [ast.parse(text, mode="eval").body for text in sorted(origins) if text != "?"]
        if len(trees) != len(origins) or not all(is_literal(t) for t in trees):
            continue
        out = [{**given, q: tree} for given in out for tree in trees]
    return out if out[0] and len(out) <= COMBINATIONS else []


def decided(scope: Scope, test: ast.expr, given: Mapping[str, ast.expr]) -> bool | None:
    """What a test says where its parameters have these values; None where that is not known."""
    if isinstance(test, ast.Name) and test.id in given:
        return bool(plain(given[test.id]))
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = decided(scope, test.operand, given)
        return None if inner is None else not inner
    if isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance" and isinstance(test.args[0], ast.Name):
        kind = ast.unparse(test.args[1])
        if test.args[0].id in given and kind in LITERAL_TYPES and kind not in scope.locals:
            return isinstance(plain(given[test.args[0].id]), LITERAL_TYPES[kind])
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        sides = [given.get(x.id, x) if isinstance(x, ast.Name) else x for x in (test.left, *test.comparators)]
        made = reduced(ast.Compare(sides[0], test.ops, sides[1:]))
        return bool(made.value) if isinstance(made, ast.Constant) else None
    return None


def rewritten(scope: Scope, node: ast.expr, depth: int) -> ast.expr | None:
    if depth > DEPTH:
        return None
    if isinstance(node, ast.Constant):
        return node
    if isinstance(node, ast.Attribute):
        return attribute(scope, node, depth)
    if isinstance(node, ast.Name):
        return name(scope, node, depth)
    if isinstance(node, (ast.Subscript, ast.Call)):
        item = config_item(scope, node, depth)
        if item is not None:
            return item
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, (ast.Slice, ast.Tuple)):
        return compound(scope, node, depth)
    if isinstance(node, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.IfExp, ast.Tuple, ast.List)):
        return compound(scope, node, depth)
    if isinstance(node, ast.Call) and (record := records.record_of(scope, node, depth)) is not None:
        return record
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.keywords:
        return pure_method(scope, node, node.func, depth)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in PURE_CALLS
        and not node.keywords
    ):
        args = [rewritten(scope, a, depth) for a in node.args]
        if node.func.id == "isinstance" and isinstance(node.args[1], ast.Name):
            if node.args[1].id not in ("str", "int", "float", "bool", "list", "tuple"):
                return None
            args[1] = node.args[1]
        if all(a is not None for a in args):
            return ast.Call(node.func, [a for a in args if a is not None], [])
    return None


def config_item(scope: Scope, node: ast.Subscript | ast.Call, depth: int) -> ast.expr | None:
    """`config.field["key"]`, `config.field.get("key", default)` and `getattr(config, "field", default)`."""
    if isinstance(node, ast.Subscript):
        if not (isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)):
            return None
        held = rewritten(scope, node.value, depth + 1)
        return ast.Subscript(held, node.slice, ast.Load()) if held is not None else None
    if node.keywords or not all(isinstance(a, ast.Constant) for a in node.args[-1:]):
        return None
    f = node.func
    if isinstance(f, ast.Attribute) and f.attr == "get" and scope.kinds(f.value) == {"dict"} and node.args:
        held = rewritten(scope, f.value, depth + 1)
        return ast.Call(ast.Attribute(held, "get", ast.Load()), node.args, []) if held is not None else None
    if isinstance(f, ast.Name) and f.id == "getattr" and len(node.args) == 3 and isinstance(node.args[1], ast.Constant):
        title = str(node.args[1].value)
        if scope.kinds(node.args[0]) == {"config"} and holds(scope, node.args[0], field_of(scope, node.args[0], title)):
            return ast.Attribute(holder(scope, node.args[0]), field_of(scope, node.args[0], title), ast.Load())
    return None


def pure_method(scope: Scope, node: ast.Call, f: ast.Attribute, depth: int) -> ast.expr | None:
    """`config.table.get("key", default)`, `config.kind.startswith("x")`."""
    wanted = PURE_METHODS if scope.kinds(f.value) & {"str"} else {"get"} if scope.kinds(f.value) == {"dict"} else ()
    if f.attr not in wanted:
        return None
    parts = [rewritten(scope, x, depth) for x in (f.value, *node.args)]
    known = [p for p in parts if p is not None]
    return ast.Call(ast.Attribute(known[0], f.attr, ast.Load()), known[1:], []) if len(known) == len(parts) else None


def compound(scope: Scope, node: ast.expr, depth: int) -> ast.expr | None:
    """Operators: rewrite the operands in place on a shallow copy."""
    if isinstance(node, ast.BoolOp):  # an operand that no run reached lies behind one that decided, and is checked
        ran = [v for v in node.values if scope.seen(v).n or is_literal(v)]
        if ran and len(ran) < len(node.values):
            node = ast.BoolOp(node.op, ran) if len(ran) > 1 else ran[0]
            return rewritten(scope, node, depth + 1)
    fields: dict[str, Any] = {}
    for key, value in ast.iter_fields(node):
        if isinstance(value, ast.expr):
            new = rewritten(scope, value, depth)
            if new is None:
                return None
            fields[key] = new
        elif isinstance(value, list) and value and isinstance(value[0], ast.expr):
            parts = [rewritten(scope, v, depth) for v in value]
            if any(p is None for p in parts):
                return None
            fields[key] = parts
        else:
            fields[key] = value
    return type(node)(**fields)


def config_field(scope: Scope, node: ast.Attribute) -> str:
    """The ModelArgs field that `config.x` reads, "" when the object is no config."""
    if scope.kinds(node.value) != {"config"}:
        return ""
    return field_of(scope, node.value, node.attr)


def is_nested_config(scope: Scope) -> bool:
    """Whether `self.config` is not the root's: a class inside that registers its own constructor's arguments."""
    trace = scope.program.trace
    return trace.config_style == "explicit" and scope.trace.owner not in scope.program.lineage(trace.root)


def attribute(scope: Scope, node: ast.Attribute, depth: int) -> ast.expr | None:
    field = config_field(scope, node)
    if field and is_nested_config(scope):
        fid = scope.program.init_of(scope.trace.owner)
        inner = scope if fid == scope.trace.fid else scope.work.scope(fid) if fid else None
        known = inner is not None and field in inner.params
        return name(inner, ast.Name(field, ast.Load()), depth + 1) if inner is not None and known else None
    if field in scope.program.changed_fields:
        return None
    if field.startswith("_") or field in RUN_FIELDS:  # how the library is set up, not what it computes
        seen = scope.seen(node)
        return literal(seen.consts[0]) if seen.const else None
    if field and not is_held(scope, node, field):
        seen = scope.seen(node)
        return literal(seen.consts[0]) if seen.const else None  # what the config class itself says
    if field:
        return ast.Attribute(holder(scope, node.value), field, ast.Load())
    if isinstance(node.value, ast.Name) and node.value.id == scope.self_name and scope.trace.owner:
        return own_attribute(scope, scope.trace.owner, node.attr, depth)
    if scope.kinds(node.value) == {"module"}:
        return held_attribute(scope, node, depth)
    return records.record_field(scope, node, depth)


def held_attribute(scope: Scope, node: ast.Attribute, depth: int) -> ast.expr | None:
    """`module.x` of a module that a function is given, or that another holds: what its classes say alike."""
    classes = [c for c in scope.seen(node.value).types if not scope.program.is_torch(c)]
    found = [own_attribute(scope, c, node.attr, depth) for c in classes]
    known = {ast.unparse(f) for f in found if f is not None}
    return found[0] if len(known) == 1 and len(classes) == len(scope.seen(node.value).types) and all(found) else None


def is_held(scope: Scope, node: ast.Attribute, field: str) -> bool:
    """Whether the port's config has a field: it is saved with the reference's, or computed from what is."""
    trace = scope.program.trace
    if trace.config_style != "object":
        return True
    keys = config_keys(scope, node.value)
    return all(is_saved(trace, key, field) or is_computed(trace, key, field) for key in keys)


def own_attribute(scope: Scope, owner: str, attr: str, depth: int) -> ast.expr | None:
    """`self.x` through its one assignment in the class's constructor."""
    fid = scope.program.init_of(owner)
    if not fid or scope.program.stored_later(owner, attr):
        return None
    inner = scope if fid == scope.trace.fid else scope.work.scope(fid)
    values = assigned(inner, lambda t: is_self_attribute(inner, t, attr))
    return rewritten(inner, values[0], depth + 1) if len(values) == 1 else None


def assigned(scope: Scope, matches: Callable[[ast.expr], bool]) -> list[ast.expr]:
    """What is assigned to a target, by itself or in `a, b = x, y`."""
    found = []
    for s in scope.function.nodes:
        if not isinstance(s, ast.Assign):
            continue
        for t in s.targets:
            if matches(t):
                found.append(s.value)
            elif isinstance(t, ast.Tuple) and isinstance(s.value, ast.Tuple) and len(t.elts) == len(s.value.elts):
                found += [v for e, v in zip(t.elts, s.value.elts, strict=True) if matches(e)]
    return found


def is_self_attribute(scope: Scope, target: ast.expr, attr: str) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and target.attr == attr
        and isinstance(target.value, ast.Name)
        and target.value.id == scope.self_name
    )


def name(scope: Scope, node: ast.Name, depth: int) -> ast.expr | None:
    if node.id in scope.supposed:
        return scope.supposed[node.id]
    scope.relied += passed_over(scope, node)
    if node.id in scope.folded:
        return literal(scope.folded[node.id])
    if node.id in scope.from_config:
        return attribute(scope, scope.from_config[node.id], depth)
    if node.id in scope.local_literals and not assumed_in(scope.local_literals[node.id]):
        return scope.local_literals[node.id]
    ref = scope.global_(node.id)
    if ref is not None and ref.sort == "const":
        return literal(tuple(ref.value) if ref.name == "tuple" else ref.value)
    if scope.reached_stores.get(node.id) != 1 and not is_before_stores(scope, node):
        return after_store(scope, node, depth)
    if node.id in scope.params:
        explicit = scope.is_root_init and scope.program.trace.config_style != "object"
        if explicit:
            return ast.Attribute(ast.Name("self", ast.Load()), node.id, ast.Load())
        found = scope.facts.origins.get((scope.trace.fid, node.id), frozenset())
        text = next(iter(found)) if len(found) == 1 else "?"
        return ast.parse(text, mode="eval").body if text != "?" else None
    values = assigned(scope, lambda t: isinstance(t, ast.Name) and t.id == node.id)
    if len(values) != 1 or (scope.kinds(node) & {"list", "dict", "set"} and grows(scope, node.id)):
        return None
    return rewritten(scope, values[0], depth + 1)


def is_before_stores(scope: Scope, node: ast.Name) -> bool:
    """Whether a parameter still is what it was given as: every store comes later, or takes this very value."""
    stored = stores_of(scope, node.id)
    if not stored or node.id not in scope.params or node not in scope.function.parents:
        return False
    around = ancestors(scope, node)
    later = all(node.lineno < s.lineno or s in around for s in stored)
    return later and not any(
        isinstance(a, (ast.For, ast.While)) for s in stored for a in (*around, *ancestors(scope, s))
    )


def after_store(scope: Scope, node: ast.Name, depth: int) -> ast.expr | None:
    """What a parameter is after the one store of `p = p or x` or `if p is None: p = x`, which always ran before."""
    stored = stores_of(scope, node.id, reached=True)  # `passed_over` has the others refused
    if len(stored) != 1 or not isinstance(stored[0], ast.Assign) or node not in scope.function.parents:
        return None
    s, around = stored[0], ancestors(scope, stored[0])[:-1]  # without the function itself
    if [t.id for t in s.targets if isinstance(t, ast.Name)] != [node.id] or s.lineno >= node.lineno:
        return None
    if s in ancestors(scope, node):
        return None
    if not around:
        return rewritten(scope, s.value, depth + 1)
    test = around[0]
    if len(around) == 1 and isinstance(test, ast.If) and test.body == [s] and not test.orelse:
        before = [n for n in ast.walk(test.test) if isinstance(n, ast.Name) and n.id == node.id]
        over = [rewritten(scope, x, depth + 1) for x in (test.test, s.value, *before[:1])]
        parts = [p for p in over if p is not None]
        if len(parts) == 3:
            return ast.IfExp(*parts)
    return None
