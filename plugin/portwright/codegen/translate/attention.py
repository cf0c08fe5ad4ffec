"""Scaled dot product attention."""

from __future__ import annotations

import ast

from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, quote
from portwright.codegen.translate.registry import Operation, row


@row(
    "scaled_dot_product_attention",
    "query key value attn_mask=None dropout_p=0.0 is_causal=False scale=None enable_gqa=False",
)
def attention(op: Operation) -> ast.expr:
    """MLX takes (batch, heads, length, head_dim) as torch does; keys may have fewer heads."""
    if op.rank("query") != 4:
        raise HoleError("attention on tensors that are not of rank 4")
    scale = op.get("scale") or quote("q.shape[-1] ** -0.5", q=op["query"])
    mask = op.get("attn_mask")
    if mask is None and op.value("is_causal", False):
        mask = ast.Constant("causal")
    return call("mx.fast.scaled_dot_product_attention", op["query"], op["key"], op["value"], scale=scale, mask=mask)
