"""Causal masks through mlx-lm's `create_attention_mask`, which knows what a cache holds."""

from __future__ import annotations

import ast

from portwright.codegen.emit.configs import config_demands
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.idioms.capped_attention import all_boolean
from portwright.codegen.quote import quote
from portwright.codegen.runtime.caches import is_cache, loops
from portwright.codegen.translate.registry import Operation

KINDS = {"create_causal_mask": "full_attention", "create_sliding_window_causal_mask": "sliding_attention"}


def causal(op: Operation) -> ast.expr:
    """The mask of the library's row, in the form that the port's attention takes."""
    scope = op.scope
    for name in ("attention_mask", "or_mask_function", "and_mask_function", "block_sequence_ids"):
        if op.get(name) is not None and op.kinds(name) != {"none"}:
            raise HoleError(f"a causal mask with {name}")
    if "cache" not in op.raw or not is_cache(scope.program, scope.seen(op.raw["cache"])):
        raise HoleError("a causal mask without the cache")
    if scope.trace.fid not in loops(scope.program) or scope.cache_in_loop:
        raise HoleError("a causal mask outside the function that loops over the layers")
    kind = KINDS[op.name]
    sliding = windows(scope)
    cache = op["cache"]
    config = op["config"]
    if is_mixed(scope):
        types = ask(quote("c.layer_types", c=config), *config_demands(scope, op.raw["config"], "layer_types"))
        first = quote("first_cache(c, t, k)", c=cache, t=types, k=ast.Constant(kind))
        first = ask(first, Demand("snippet", "first_cache"))
    else:
        first = quote("c[0]", c=cache)
    function = "create_attention_mask" if all_boolean(scope) else "additive_mask"
    made = quote("f(h, c)", f=ast.Name(function, ast.Load()), h=op["inputs_embeds"], c=first)
    assert isinstance(made, ast.Call)
    if kind == "sliding_attention" or (sliding and chosen_by_window(op)):
        window = ask(quote("c.sliding_window", c=config), *config_demands(scope, op.raw["config"], "sliding_window"))
        made.keywords.append(ast.keyword("window_size", window))
    if function == "create_attention_mask" and scope.work.proofs.capped:
        made.keywords.append(ast.keyword("return_array", ast.Constant(True)))
    if function == "additive_mask":
        ask(made, Demand("snippet", "additive_mask"))
    return made


def windows(scope: Scope) -> bool:
    """Whether the config has a sliding window at all."""
    return any("sliding_window" in m.config for m in scope.program.trace.models)


def chosen_by_window(op: Operation) -> bool:
    """Whether the mask's function was chosen by `config.sliding_window is None`; a window of None is no window."""
    f = op.node.func
    if not (isinstance(f, ast.Name) and f.id in op.scope.locals):
        return False
    for node in ast.walk(op.scope.tree):
        if not isinstance(node, ast.Assign) or not any(isinstance(t, ast.Name) and t.id == f.id for t in node.targets):
            continue
        if not (isinstance(node.value, ast.IfExp) and "sliding_window is None" in ast.unparse(node.value.test)):
            raise HoleError(f"a mask made by {f.id}, which something other than the window chooses")
    return True


def is_mixed(scope: Scope) -> bool:
    """Whether some layers may slide and others not: the config says what each does."""
    return any(m.config.get("layer_types") for m in scope.program.trace.models)
