"""Key-value caches: where the library keeps one object for all layers, mlx-lm keeps a list with one cache a layer.

A function that loops over the layers (or only calls one that does) holds the list; what the loop calls holds the
cache of its own layer.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.program import Function, Program
from portwright.codegen.quote import quote, stores
from portwright.codegen.trace import Callee, Seen

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

CACHE = "transformers.cache_utils:Cache"
ONE = "layer_cache"  # what the loop calls the cache of one layer


def is_cache(program: Program, seen: Seen) -> bool:
    """Whether a value was a library's key-value cache (or None)."""
    return bool(seen.types) and all(CACHE in program.lineage(t) for t in seen.types)


def is_cached(program: Program) -> bool:
    """Whether the port keeps mlx-lm's caches."""
    return program.runtime == "mlx-lm"


def cache_of_loop(program: Program, function: Function, loop: ast.For) -> str:
    """The name of the cache that a loop over modules hands to each of them, "" where there is none."""
    targets = stores(loop.target)
    for node in ast.walk(loop):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in targets):
            continue
        if {c.sort for c in function.seen(node).callees} != {"module"}:
            continue
        for value in (*node.args, *[k.value for k in node.keywords]):
            for part in ast.walk(value):
                if isinstance(part, ast.Name) and is_cache(program, function.seen(part)):
                    return part.id
    return ""


def cache_last(program: Program, fid: str, names: list[str]) -> list[str]:
    """Parameters in order, the one of a layer's cache last: None may stand for it, and what follows is always given."""
    params = program.functions[fid].trace.params
    if not is_cached(program) or fid == program.trace.entry or fid in loops(program):
        return names
    caches = [q for q in names if q in params and is_cache(program, params[q])]
    return [*[q for q in names if q not in caches], *caches] if len(caches) == 1 else names


@lru_cache(maxsize=4)
def loops(program: Program) -> dict[str, tuple[str, ast.For]]:
    """For each function that loops over layers with a cache: the cache's name and the loop."""
    found: dict[str, tuple[str, ast.For]] = {}
    for fid, function in program.functions.items():
        for node in function.nodes:
            if isinstance(node, ast.For):
                name = cache_of_loop(program, function, node)
                if name and fid in found:
                    raise HoleError("two loops over layers share a cache")
                if name:
                    found[fid] = (name, node)
    return found


def layers_of(loop: ast.For) -> ast.expr:
    """The list of modules that a loop goes over, whatever it counts or slices."""
    node = loop.iter
    while True:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "enumerate":
            node = node.args[0]
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            return node


def with_layer_caches(scope: Scope, source: ast.For, loop: ast.For) -> ast.For:
    """`for layer in layers` as `for layer, layer_cache in zip(layers, cache)`, under enumerate too."""
    name = loops(scope.program)[scope.trace.fid][0]
    counted = (
        isinstance(loop.iter, ast.Call) and isinstance(loop.iter.func, ast.Name) and loop.iter.func.id == "enumerate"
    )
    if counted:
        assert isinstance(loop.iter, ast.Call) and isinstance(loop.target, ast.Tuple)
        loop.iter.args[0] = quote("zip(x, y)", x=loop.iter.args[0], y=ast.Name(name, ast.Load()))
        loop.target.elts[1] = paired(loop.target.elts[1])
    else:
        loop.iter = quote("zip(x, y)", x=loop.iter, y=ast.Name(name, ast.Load()))
        loop.target = paired(loop.target)
    return loop


def paired(target: ast.expr) -> ast.expr:
    return ast.Tuple([target, ast.Name(ONE, ast.Store())], ast.Store())


def none_at_first(scope: Scope) -> list[ast.stmt]:
    """`if cache is None: cache = [None] * len(layers)`, where a function loops over layers."""
    if not is_cached(scope.program) or scope.trace.fid not in loops(scope.program):
        return []
    name, loop = loops(scope.program)[scope.trace.fid]
    value = quote("[None] * len(x)", x=scope.expr(layers_of(loop)))
    made = ast.If(
        quote("c is None", c=ast.Name(name, ast.Load())), [ast.Assign([ast.Name(name, ast.Store())], value)], []
    )
    made.origin = scope.tree.body[0].lineno - 1  # type: ignore[attr-defined]
    return [made]


def cache_name(scope: Scope, node: ast.Name) -> ast.expr | None:
    """The cache of one layer inside the loop; None for any other name."""
    if node.id == scope.cache_in_loop and is_cached(scope.program):
        return ast.Name(ONE, ast.Load())
    return None


def any_cache(scope: Scope, node: ast.expr) -> ast.expr:
    """The cache whose offset speaks for all layers: the first in a list, or a layer's own."""
    held = scope.expr(node)
    holds_list = scope.trace.fid in loops(scope.program) and not scope.cache_in_loop
    return quote("c[0]", c=held) if holds_list else held


def is_none_test(scope: Scope, node: ast.Compare) -> ast.expr | None:
    """`cache is None` where the cache is a list of which every element may be None."""
    left = node.left
    if not (is_cached(scope.program) and isinstance(left, ast.Name) and is_cache(scope.program, scope.seen(left))):
        return None
    return ast.Compare(any_cache(scope, left), node.ops, node.comparators)


def is_cache_call(scope: Scope, n: ast.Call, callee: Callee) -> bool:
    """Whether a call is a method of the library's cache."""
    return is_cached(scope.program) and callee.sort == "method" and CACHE in scope.program.lineage(callee.cls)


def cache_call(scope: Scope, n: ast.Call, callee: Callee) -> ast.expr:
    """A method of the library's cache, as mlx-lm's does it. Raises HoleError for what mlx-lm has no counterpart of."""
    held = cast(ast.Attribute, n.func).value
    given = dict(zip(METHODS.get(callee.name, ()), n.args, strict=False))
    given |= {k.arg: k.value for k in n.keywords if k.arg}
    if callee.name == "update" and {"key_states", "value_states", "layer_idx"} <= set(given):
        check_own_layer(scope, given["layer_idx"])
        cache = scope.expr(held)
        keys, values = scope.expr(given["key_states"]), scope.expr(given["value_states"])
        return quote("c.update_and_fetch(k, v)", c=cache, k=keys, v=values)
    if callee.name == "get_seq_length":
        if "layer_idx" in given and not isinstance(given["layer_idx"], ast.Constant):
            check_own_layer(scope, given["layer_idx"])
        return ask(quote("cached_tokens(c)", c=any_cache(scope, held)), Demand("snippet", "cached_tokens"))
    raise HoleError(f"the cache's {callee.name}")


def follows_cache(scope: Scope, node: ast.AST, depth: int = 4) -> bool:
    """Whether a value counts on from what a cache holds: in a padded batch it differs from row to row."""
    if not is_cached(scope.program) or depth == 0:
        return False
    for n in ast.walk(node):
        if isinstance(n, ast.Call) and any(
            c.name == "get_seq_length" and is_cache_call(scope, n, c) for c in scope.seen(n).callees
        ):
            return True
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load):
            for s in ast.walk(scope.tree):
                made = isinstance(s, ast.Assign) and any(isinstance(t, ast.Name) and t.id == n.id for t in s.targets)
                if made and s.value is not node and follows_cache(scope, s.value, depth - 1):  # type: ignore[attr-defined]
                    return True
    return False


METHODS = {"update": ("key_states", "value_states", "layer_idx"), "get_seq_length": ("layer_idx",)}


def check_own_layer(scope: Scope, node: ast.expr) -> None:
    """A layer may use its own place of the cache only: there is no other in mlx-lm's list."""
    if not isinstance(node, ast.Attribute):
        raise HoleError("a place in the cache that is no attribute of the layer")
    for path in scope.trace.params[scope.self_name].paths if scope.self_name else ():
        module = scope.program.modules[path]
        places = [p for p in module.path.split(".") if p.isdigit()]
        if not places or module.numbers.get(node.attr) != int(places[0]):
            raise HoleError(f"{module.path} uses place {module.numbers.get(node.attr)} of the cache, not its own")
