"""Masks that functions of places describe: transformers' own such functions, and the mask that one makes."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, quote
from portwright.codegen.translate.registry import Layout, Operation, Row, row

OWN_MASK = '''def make_own_mask(inputs_embeds, allows, attention_mask=None, position_ids=None):
    """An additive mask: the keys that a function of places lets each token see, and no padding."""
    batch, length = inputs_embeds.shape[:2]
    rows, places = mx.arange(batch)[:, None, None, None], mx.arange(length)[None]
    packed = None
    if attention_mask is None and position_ids is not None:
        # where positions jump, another sequence begins that is packed into the same row
        starts = position_ids[:, 1:] != position_ids[:, :-1] + 1
        packed = mx.pad(mx.cumsum(starts.astype(mx.int32), axis=-1), [(0, 0), (1, 0)])
        places = mx.where(mx.any(starts), position_ids, places)
    mask = allows(rows, mx.array(0), places[:, None, :, None], places[:, None, None, :])
    if packed is not None:
        mask = mask & (packed[:, None, :, None] == packed[:, None, None, :])
    if attention_mask is not None:
        mask = mask & (attention_mask[:, None, None, :] != 0)
    mask = mx.broadcast_to(mask, (batch, 1, length, length))
    dtype = inputs_embeds.dtype
    return mx.where(mask, 0.0, mx.finfo(dtype).min).astype(dtype)
'''
AND = """def and_masks(*functions):
    def allows(row, head, query, key):
        return functools.reduce(mx.logical_and, [f(row, head, query, key) for f in functions])

    return allows
"""
OR = """def or_masks(*functions):
    def allows(row, head, query, key):
        return functools.reduce(mx.logical_or, [f(row, head, query, key) for f in functions])

    return allows
"""
CAUSAL = """def causal_mask_function(row, head, query, key):
    return key <= query
"""
BIDIRECTIONAL = """def bidirectional_mask_function(row, head, query, key):
    return query >= 0
"""
# transformers' makers of such functions: their parameter, and what the function says.
MAKERS = {
    "sliding_window_overlay": ("sliding_window", "key > query - sliding_window"),
    "sliding_window_bidirectional_overlay": ("sliding_window", "mx.abs(query - key) <= sliding_window"),
    "sliding_window_causal_mask_function": ("sliding_window", "(key <= query) & (key > query - sliding_window)"),
    "sliding_window_bidirectional_mask_function": ("sliding_window", "mx.abs(query - key) <= sliding_window"),
    "packed_sequence_mask_function": (
        "packed_sequence_mask",
        "packed_sequence_mask[row, query] == packed_sequence_mask[row, key]",
    ),
    "padding_mask_function": ("padding_mask", "padding_mask[row, key]"),
    "blockwise_overlay": (
        "block_sequence_ids",
        "(block_sequence_ids[row, query] == block_sequence_ids[row, key]) & (block_sequence_ids[row, query] >= 0)",
    ),
}
MADE = """def {name}({parameter}):
    return lambda row, head, query, key: {text}
"""
SNIPPETS = {
    "make_own_mask": OWN_MASK,
    "and_masks": AND,
    "or_masks": OR,
    "causal_mask_function": CAUSAL,
    "bidirectional_mask_function": BIDIRECTIONAL,
    **{name: MADE.format(name=name, parameter=p, text=text) for name, (p, text) in MAKERS.items()},
}
IMPORTS = {"and_masks": ("import functools",), "or_masks": ("import functools",)}
# Functions of the library that are handed on by their names.
VALUES = {f"transformers.masking_utils.{name}": name for name in SNIPPETS}


def carried(name: str, *arguments: ast.expr) -> ast.expr:
    """A call of a text that the port carries."""
    return ask(call(name, *arguments), Demand("snippet", name))


def register_makers(table: dict[str, Row]) -> None:
    """A row for each maker of the library, and for what joins such functions."""
    for name, (parameter, _) in MAKERS.items():

        def made(op: Operation, name: str = name, parameter: str = parameter) -> ast.expr:
            return carried(name, op[parameter])

        row(name, parameter, Layout.OPAQUE, table)(made)
    for name in ("and_masks", "or_masks"):

        def joined(op: Operation, name: str = name) -> ast.expr:
            return carried(name, *op.star)

        row(name, "*functions", Layout.OPAQUE, table)(joined)
    row(
        "_preprocess_mask_arguments",
        "config inputs_embeds attention_mask cache position_ids layer_idx encoder_hidden_states=None",
        Layout.OPAQUE,
        table,
    )(sizes)
    row("maybe_pad_block_sequence_ids", "block_sequence_ids attention_mask kv_length kv_offset", Layout.OPAQUE, table)(
        padded_blocks
    )


def sizes(op: Operation) -> ast.expr:
    """What a mask is made from, without a cache: no early exit, the padding mask, lengths and offsets."""
    for name in ("cache", "encoder_hidden_states"):
        if op.get(name) is not None and op.kinds(name) != {"none"}:
            raise HoleError(f"the sizes of a mask with {name}")
    mask = op["attention_mask"]
    if op.kinds("attention_mask") == {"none"}:
        return quote("(False, None, None, x.shape[1], x.shape[1], 0, 0)", x=op["inputs_embeds"])
    if not op.kinds("attention_mask") <= {"tensor", "none"} or op.rank("attention_mask") != 2:
        raise HoleError("the sizes of a mask that is not (batch, length)")
    length = "m.shape[-1]" if op.kinds("attention_mask") == {"tensor"} else "(x if m is None else m).shape[1]"
    return quote(f"(False, m, None, x.shape[1], {length}, 0, 0)", m=mask, x=op["inputs_embeds"])


def padded_blocks(op: Operation) -> ast.expr:
    """The block of each token; -1 for those that a longer mask foresees."""
    length = quote("n + offset", n=op["kv_length"], offset=op["kv_offset"])
    if isinstance(op["kv_offset"], ast.Constant) and op["kv_offset"].value == 0:
        length = op["kv_length"]
    text = "mx.pad(x, [(0, 0), (0, max(0, n - x.shape[-1]))], constant_values=-1)"
    return quote(text, x=op["block_sequence_ids"], n=length)


def is_own(op: Operation) -> bool:
    """Whether a call of the library's makers of masks gives a function of its own."""
    return any(op.get(n) is not None and op.kinds(n) != {"none"} for n in ("or_mask_function", "and_mask_function"))


def own_mask(op: Operation, base: ast.expr | None) -> ast.expr:
    """The mask of a function, or of a base that functions widen and narrow; no base lets everything be seen."""
    for name in ("cache", "encoder_hidden_states", "block_sequence_ids"):
        if op.get(name) is not None and op.kinds(name) != {"none"}:
            raise HoleError(f"a mask with its own mask function and {name}")
    given = op.get("attention_mask") is not None and op.kinds("attention_mask") == {"tensor"}
    if given and op.rank("attention_mask") != 2:
        raise HoleError("a padding mask that is not (batch, length)")
    also, only = op.get("or_mask_function"), op.get("and_mask_function")
    if base is not None and also is not None:
        base = carried("or_masks", base, also)
    parts = [p for p in (base, only) if p is not None]
    if not parts:
        parts = [
            ask(ast.Name("bidirectional_mask_function", ast.Load()), Demand("snippet", "bidirectional_mask_function"))
        ]
    allows = parts[0] if len(parts) == 1 else carried("and_masks", *parts)
    made = call("make_own_mask", op["inputs_embeds"], allows)
    if op.get("attention_mask") is not None:
        made.args.append(op["attention_mask"])
    if base is not None and op.get("position_ids") is not None:  # only causal masks look for packed sequences
        made.keywords.append(ast.keyword("position_ids", op["position_ids"]))
    return ask(made, Demand("snippet", "make_own_mask"))
