"""Attention through mlx-lm's own function, which also reads a quantized cache."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.runtime.caches import is_cache, is_cached, loops

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

FUSED = "mx.fast.scaled_dot_product_attention"


def with_cached_attention(scope: Scope, body: list[ast.stmt]) -> list[ast.stmt]:
    """In a function that has a layer's cache, MLX's attention becomes mlx-lm's, which is told of the cache."""
    if not is_cached(scope.program) or scope.trace.fid in loops(scope.program):
        return body
    caches = [q for q, seen in scope.trace.params.items() if is_cache(scope.program, seen)]
    if len(caches) != 1:
        return body
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == FUSED:
                node.func = ast.Name("scaled_dot_product_attention", ast.Load())
                given = {k.arg for k in node.keywords}
                node.keywords.insert(0, ast.keyword("cache", ast.Name(caches[0], ast.Load())))
                if "mask" not in given:
                    node.keywords.append(ast.keyword("mask", ast.Constant(None)))
    return body
