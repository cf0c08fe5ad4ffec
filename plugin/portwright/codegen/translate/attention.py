"""Scaled dot product attention."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, plain, quote
from portwright.codegen.translate.registry import Operation, row


def scale_of(op: Operation) -> ast.expr:
    """The scale that is given, or torch's own where it is None."""
    if op.get("scale") is None:
        return quote("q.shape[-1] ** -0.5", q=op["query"])
    if "none" in op.kinds("scale"):
        return quote("q.shape[-1] ** -0.5 if s is None else s", q=op["query"], s=op["scale"])
    return op["scale"]


def masked(op: Operation, length: int = -2) -> ast.expr | None:
    """The mask that is given, or the causal one; torch takes no other beside it."""
    mask = op.get("attn_mask")
    flag = op.get("is_causal")
    if flag is None or plain(flag) is False:
        return mask
    if plain(flag) is True:
        return causal(op, length) if mask is None else mask
    return ast.IfExp(flag, causal(op, length), mask if mask is not None else ast.Constant(None))


def causal(op: Operation, length: int) -> ast.expr:
    """MLX counts the diagonal from the last key, torch from the first: alike for as many keys as queries."""
    queries, keys = (op.scope.seen(op.raw[k]).shapes for k in ("query", "key"))
    if {q[length] for q in queries} == {k[length] for k in keys}:
        return ast.Constant("causal")
    return quote(
        f"mx.tril(mx.ones((q.shape[{length}], k.shape[{length}]), dtype=mx.bool_))", q=op["query"], k=op["key"]
    )


def fused(op: Operation, given: Sequence[ast.expr], scale: ast.expr, mask: ast.expr | None) -> ast.expr:
    """MLX's attention; of a mask of truths, with the zeros that torch gives a query without any key."""
    if "bool" in op.scope.seen(op.raw.get("attn_mask")).dtypes:
        made = call("masked_attention", *given, scale=scale, mask=mask)
        return ask(made, Demand("snippet", "masked_attention"))
    return call("mx.fast.scaled_dot_product_attention", *given, scale=scale, mask=mask)


@row(
    "scaled_dot_product_attention",
    "query key value attn_mask=None dropout_p=0.0 is_causal=False scale=None enable_gqa=False",
)
def attention(op: Operation) -> ast.expr:
    """MLX takes (batch, heads, length, head_dim) as torch does; keys may have fewer heads."""
    rank = op.rank("query")
    if rank != 4 and (rank != 3 or op.get("attn_mask") is not None):
        raise HoleError("attention on tensors that are not of rank 4")
    scale = scale_of(op)
    mask = masked(op)
    given = [op[k] if rank == 4 else quote("x[:, None]", x=op[k]) for k in ("query", "key", "value")]
    made = fused(op, given, scale, mask)
    return made if rank == 4 else quote("y[:, 0]", y=made)


FUNCTIONAL = (
    "query key value embed_dim_to_check num_heads in_proj_weight in_proj_bias bias_k bias_v add_zero_attn dropout_p "
    "out_proj_weight out_proj_bias training=True key_padding_mask=None need_weights=True attn_mask=None "
    "use_separate_proj_weight=False q_proj_weight=None k_proj_weight=None v_proj_weight=None static_k=None "
    "static_v=None average_attn_weights=True is_causal=False"
)


@row("multi_head_attention_forward", FUNCTIONAL)
def functional_attention(op: Operation) -> ast.expr:
    """The function behind torch's layer, on weights that others hold, with the mean of its shares where it is asked."""
    absent = ("bias_k", "bias_v", "static_k", "static_v")
    if (
        any(op.get(name) is not None and op.kinds(name) != {"none"} for name in absent)
        or op.get("in_proj_bias") is None
    ):
        raise HoleError("attention of heads with biases of its keys")
    if op.value("add_zero_attn", False) or not op.value("average_attn_weights", True):
        raise HoleError("attention with a key of zeros, or with the weights of each head")
    if op.value("use_separate_proj_weight", False):
        weights: ast.expr = ast.Tuple([op[f"{k}_proj_weight"] for k in "qkv"], ast.Load())
    else:
        weights = quote("mx.split(w, 3)", w=op["in_proj_weight"])
    given = [op[k] for k in ("query", "key", "value", "num_heads")]
    given += [weights, op["in_proj_bias"], op["out_proj_weight"], op.get("out_proj_bias") or ast.Constant(0)]
    masks = {
        k: op.get(k) for k in ("attn_mask", "key_padding_mask") if op.get(k) is not None and op.kinds(k) != {"none"}
    }
    if op.value("need_weights", True) or masks:
        shared = call("attend_with_shares", *given, **masks)
        return ask(shared, Demand("snippet", "attend_with_shares"))
    made = ask(call("attend_heads", *given), Demand("snippet", "attend_heads"))
    return ast.Tuple([made, ast.Constant(None)], ast.Load())
