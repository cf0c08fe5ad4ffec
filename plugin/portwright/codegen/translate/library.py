"""Rows for libraries' own functions: the masking and dispatch plumbing that models call and do not define."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from portwright.codegen.emit.configs import HOLDER, config_demands, config_keys, field_of, title
from portwright.codegen.emit.properties import is_saved
from portwright.codegen.emit.text_configs import text_config
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import Assumption, HoleError
from portwright.codegen.layout import transpose
from portwright.codegen.quote import call, plain, quote
from portwright.codegen.runtime import masks
from portwright.codegen.runtime.caches import is_cached
from portwright.codegen.translate.attention import fused, masked, scale_of
from portwright.codegen.translate.mask_functions import carried, is_own, own_mask, register_makers
from portwright.codegen.translate.registry import Layout, Operation, Row, row

LIBRARY_ROWS: dict[str, Row] = {}
register_makers(LIBRARY_ROWS)


@row(
    "create_bidirectional_mask",
    "config inputs_embeds attention_mask=None encoder_hidden_states=None cache=None or_mask_function=None "
    "and_mask_function=None allow_is_bidirectional_skip=True position_ids=None",
    Layout.OPAQUE,
    LIBRARY_ROWS,
)
def bidirectional(op: Operation) -> ast.expr:
    """An additive mask over keys, from a padding mask of (batch, keys)."""
    if is_own(op):
        return own_mask(op, None)
    if op.get("cache") is not None and op.kinds("cache") != {"none"}:
        raise HoleError("a bidirectional mask with a cache")
    mask = op.get("attention_mask")
    if mask is None:
        return ast.Constant(None)
    if op.rank("attention_mask") != 2:
        raise HoleError("a padding mask that is not (batch, length)")
    made = quote("(1 - m[:, None, None, :].astype(x.dtype)) * mx.finfo(x.dtype).min", m=mask, x=op["inputs_embeds"])
    if op.scope.program.compares_mask_shapes:
        made = quote("mx.repeat(made, x.shape[1], axis=2)", made=made, x=op["inputs_embeds"])
    if "none" in op.kinds("attention_mask"):
        return quote("None if m is None else made", m=mask, made=made)
    if op.scope.kinds(op.node) == {"none"}:  # the library leaves a mask out that hides nothing, and no run had another
        return quote("None if mx.all(m).item() else made", m=mask, made=made)
    return made


def config_value(op: Operation, name: str) -> ast.expr:
    """A field that the library's function reads of the config that it is given, under its saved name."""
    field = field_of(op.scope, op.raw["config"], name)
    read = ast.Attribute(op["config"], field, ast.Load())
    return ask(read, *config_demands(op.scope, op.raw["config"], field))


BIDIRECTIONAL = (
    "config inputs_embeds attention_mask=None encoder_hidden_states=None cache=None or_mask_function=None "
    "and_mask_function=None allow_is_bidirectional_skip=True"
)


@row("create_bidirectional_sliding_window_mask", BIDIRECTIONAL, Layout.OPAQUE, LIBRARY_ROWS)
def bidirectional_window(op: Operation) -> ast.expr:
    """An additive mask over keys that are near, from a padding mask of (batch, keys)."""
    for name in ("or_mask_function", "and_mask_function", "encoder_hidden_states", "cache"):
        if op.get(name) is not None and op.kinds(name) != {"none"}:
            raise HoleError(f"a mask with {name}")
    if op.kinds("attention_mask") == {"tensor"} and op.rank("attention_mask") != 2:
        raise HoleError("a padding mask that is not (batch, length)")
    made = call("make_window_mask", op["inputs_embeds"], config_value(op, "sliding_window"))
    if op.get("attention_mask") is not None:
        made.args.append(op["attention_mask"])
    return ask(made, Demand("snippet", "make_window_mask"))


MASK = (
    "config inputs_embeds attention_mask=None cache=None position_ids=None or_mask_function=None "
    "and_mask_function=None block_sequence_ids=None layer_idx=None allow_is_causal_skip=True"
)


def check_plain(op: Operation) -> None:
    """Raises HoleError for a causal mask with functions of its own, with a cache, or from a mask of four axes."""
    for name in ("or_mask_function", "and_mask_function", "cache"):
        if op.get(name) is not None and op.kinds(name) != {"none"}:
            raise HoleError(f"a causal mask with {name}")
    given = op.get("attention_mask") is not None and op.kinds("attention_mask") != {"none"}
    if given and op.rank("attention_mask") != 2:
        raise HoleError("a padding mask that is not (batch, length)")


def is_prepared(op: Operation) -> bool:
    """Whether the mask is one of four axes that a caller made, which the library hands back as it is."""
    if "attention_mask" not in op.raw or op.scope.is_root_entry:
        return False
    return op.kinds("attention_mask") <= {"tensor", "none"} and op.scope.seen(op.raw["attention_mask"]).ranks == {4}


def give_masks(op: Operation, made: ast.Call) -> None:
    """The arguments that masks and positions make: padding, packed sequences, blocks."""
    if op.get("attention_mask") is not None:
        made.args.append(op["attention_mask"])
    if op.get("position_ids") is not None:
        made.keywords.append(ast.keyword("position_ids", op["position_ids"]))
    if op.get("block_sequence_ids") is not None and op.kinds("block_sequence_ids") != {"none"}:
        made.keywords.append(ast.keyword("blocks", op["block_sequence_ids"]))


def causal_only(op: Operation, keys: Iterable[str]) -> list[Demand]:
    """A config that says `is_causal=False`, even one without such a field, makes the library's masks bidirectional."""
    trace = op.scope.program.trace
    found = []
    for key in keys:
        held = trace.configs.get(key)
        saved = held.saved if held is not None else tuple(m.config for m in trace.models)
        defaults = held.defaults if held is not None else trace.config_defaults
        if not all(s.get("is_causal", defaults.get("is_causal", True)) for s in saved):
            raise HoleError("a causal mask that its config makes bidirectional")
        check = f"{HOLDER}__{title(trace, key)}.is_causal" if key else f"{HOLDER}.is_causal"
        where = op.scope.where(op.node)
        found.append(Demand("assume", Assumption(where, "config.is_causal", True, "construction", check)))
    return found


def causal_base(op: Operation) -> ast.expr:
    """What a causal mask lets be seen, as a function of places."""
    if op.name == "create_sliding_window_causal_mask":
        return carried("sliding_window_causal_mask_function", config_value(op, "sliding_window"))
    return ask(ast.Name("causal_mask_function", ast.Load()), Demand("snippet", "causal_mask_function"))


@row(
    "create_causal_mask create_sliding_window_causal_mask create_chunked_causal_mask", MASK, Layout.OPAQUE, LIBRARY_ROWS
)
def causal(op: Operation) -> ast.expr:
    """An additive causal mask, from a padding mask of (batch, keys) or positions that show packed sequences."""
    if is_prepared(op) and "none" not in op.kinds("attention_mask"):
        return op["attention_mask"]
    if is_prepared(op):
        given = op.args.pop("attention_mask")
        op.raw.pop("attention_mask")
        return quote("made if m is None else m", made=causal(op), m=given)
    op.assumed += causal_only(op, config_keys(op.scope, op.raw["config"]))
    if is_cached(op.scope.program) and op.name == "create_chunked_causal_mask":
        raise HoleError("a chunked mask with a cache")
    if is_cached(op.scope.program):
        return masks.causal(op)
    if is_own(op) and op.name != "create_chunked_causal_mask":
        return own_mask(op, causal_base(op))
    check_plain(op)
    made = call("make_causal_mask", op["inputs_embeds"])
    give_masks(op, made)
    if op.name == "create_chunked_causal_mask":
        size = config_value(op, "attention_chunk_size")
        if op.get("block_sequence_ids") is not None:
            raise HoleError("a chunked mask with blocks")
        chunked = ast.Call(quote("make_chunked_causal_mask"), [made.args[0], size, *made.args[1:]], made.keywords)
        return ask(chunked, Demand("snippet", "make_causal_mask"), Demand("snippet", "make_chunked_causal_mask"))
    if op.name == "create_sliding_window_causal_mask":
        made.keywords.append(ast.keyword("window", config_value(op, "sliding_window")))
    made = ask(made, Demand("snippet", "make_causal_mask"))
    if not op.scope.program.compares_mask_shapes:
        return made  # one mask for all rows where there is no padding: it is added to scores of every batch
    return quote("mx.broadcast_to(m, (x.shape[0], 1, x.shape[1], x.shape[1]))", m=made, x=op["inputs_embeds"])


@row("create_masks_for_generate", MASK.replace(" layer_idx=None allow_is_causal_skip=True", ""), table=LIBRARY_ROWS)
def masks_by_kind(op: Operation) -> ast.expr:
    """A mask for each kind of layer that the text part of a config names, or one for all."""
    if is_cached(op.scope.program):
        raise HoleError("masks of several kinds with a cache")
    check_plain(op)
    config, key = text_config(op.scope, op.raw["config"])
    op.assumed += causal_only(op, (key,))
    if is_field(op, key, "attention_chunk_size"):
        raise HoleError("masks by kind of a config with chunked attention")
    several = is_field(op, key, "layer_types")
    made = call("masks_by_kind", field(config, key, "layer_types")) if several else call("make_causal_mask")
    made.args.append(op["inputs_embeds"])
    give_masks(op, made)
    if is_field(op, key, "sliding_window"):
        made.keywords.append(ast.keyword("window", field(config, key, "sliding_window")))
    return ask(made, Demand("snippet", "masks_by_kind" if several else "make_causal_mask"))


def is_field(op: Operation, key: str, name: str) -> bool:
    return is_saved(op.scope.program.trace, key, name)


def field(config: ast.expr, key: str, name: str) -> ast.expr:
    """A field of the config whose class has this key."""
    return ask(ast.Attribute(config, name, ast.Load()), Demand("config", name, key))


@row(
    "create_recurrent_attention_mask",
    "config inputs_embeds attention_mask=None cache=None position_ids=None **kwargs",
    Layout.OPAQUE,
    LIBRARY_ROWS,
)
def recurrent(op: Operation) -> ast.expr:
    """The padding mask of (batch, length), where there is one and more than one token to come."""
    mask = op.get("attention_mask")
    if mask is None or op.kinds("attention_mask") == {"none"}:
        return ast.Constant(None)
    if op.rank("attention_mask") != 2 or (op.get("cache") is not None and op.kinds("cache") != {"none"}):
        raise HoleError("a mask for a recurrent layer that is not (batch, length), or with a cache")
    made: ast.expr = call("make_recurrent_mask", op["inputs_embeds"], mask)
    if op.scope.kinds(op.node) == {"none"}:  # the library leaves a mask out that hides nothing, and no run had another
        made = quote("None if mx.all(m).item() else made", m=mask, made=made)
    return ask(made, Demand("snippet", "make_recurrent_mask"))


@row("apply_chunking_to_forward", "forward_fn chunk_size chunk_dim *tensors", Layout.AWARE, LIBRARY_ROWS)
def chunking(op: Operation) -> ast.expr:
    """Chunking saves memory and changes no number."""
    return ast.Call(op["forward_fn"], list(op.star), [])


NUMPY = "log2 log10 log sqrt ceil floor prod"


@row(" ".join(f"numpy.{name}" for name in NUMPY.split()), "x", Layout.AWARE, LIBRARY_ROWS)
def scalar(op: Operation) -> ast.expr:
    """numpy's functions on Python numbers, as they size layers in constructors."""
    if not op.kinds("x") <= {"int", "float", "tuple", "list"}:
        raise HoleError(f"{op.name} of something else than numbers")
    return ask(call(f"math.{op.name.partition('.')[2]}", op["x"]), Demand("import", "import math"))


@row("get_activation", "act_fn", Layout.AWARE, LIBRARY_ROWS)
def activation_by_name(op: Operation) -> ast.expr:
    return ask(quote("activation(name)", name=op["act_fn"]), Demand("snippet", "activation"))


@row("get_max_seqlen", "cu_seqlens config kwargs=None kwarg_name=None", Layout.AWARE, LIBRARY_ROWS)
def longest_sequence(op: Operation) -> ast.expr:
    """What a kernel of packed attention asks for, and nothing else: there is none where no such kernel runs."""
    if op.scope.kinds(op.node) != {"none"}:
        raise HoleError("the longest of packed sequences")
    return ast.Constant(None)


@row("torch_int", "x", Layout.AWARE, LIBRARY_ROWS)
def torch_int(op: Operation) -> ast.expr:
    return quote("int(x)", x=op["x"])


@row("torch_float", "x", Layout.AWARE, LIBRARY_ROWS)
def torch_float(op: Operation) -> ast.expr:
    return quote("float(x)", x=op["x"])


DISPATCH = (
    "query key value attn_mask=None dropout_p=0.0 is_causal=False scale=None enable_gqa=False attention_kwargs=None"
)


@row(
    "dispatch_attention_fn",
    DISPATCH,
    Layout.OPAQUE,
    LIBRARY_ROWS,
)
def dispatch_attention(op: Operation) -> ast.expr:
    """(batch, length, heads, head_dim) in and out."""
    given = [transpose(op[k], (0, 2, 1, 3)) for k in ("query", "key", "value")]
    if "tensor" in op.kinds("attn_mask") and op.rank("attn_mask") == 2:
        op.args["attn_mask"] = key_mask(op)
    mask = masked(op, length=-3)
    return quote("y.transpose(0, 2, 1, 3)", y=fused(op, given, scale_of(op), mask))


def key_mask(op: Operation) -> ast.expr:
    """A mask of rank 2 says which keys of each row count where its shape is (batch, keys), as it must have been."""
    masks, queries, keys = (op.scope.seen(op.raw[k]).shapes for k in ("attn_mask", "query", "key"))
    rows = {(q[0], k[1]) for q, k in zip(queries, keys, strict=False)}
    shapes = {tuple(m) for m in masks}
    if masks and not shapes & rows and shapes <= {(q[1], k[1]) for q, k in zip(queries, keys, strict=False)}:
        return op["attn_mask"]  # one mask of (queries, keys) for all
    if not masks or not shapes <= rows:
        raise HoleError("an attention mask of rank 2 that is not one row of keys for each of the batch")
    if "none" in op.kinds("attn_mask"):
        return quote("None if m is None else m[:, None, None, :]", m=op["attn_mask"])
    return quote("m[:, None, None, :]", m=op["attn_mask"])


@row("slice_logits_to_keep", "hidden_states logits_to_keep", Layout.OPAQUE, LIBRARY_ROWS)
def last_positions(op: Operation) -> ast.expr:
    """The positions whose logits are wanted: 0 for all, the last n, or those that a tensor names."""
    x, keep = op["hidden_states"], op["logits_to_keep"]
    if op.kinds("logits_to_keep") == {"int"}:
        return x if plain(keep) == 0 else quote("x[:, -n:]", x=x, n=keep)
    if op.kinds("logits_to_keep") != {"tensor"} or "bool" in op.scope.seen(op.raw["logits_to_keep"]).dtypes:
        raise HoleError("logits of positions that a boolean mask picks")
    if op.rank("logits_to_keep") == 1:
        return quote("x[:, n]", x=x, n=keep)
    return quote("mx.take_along_axis(x, n[..., None], axis=1)", x=x, n=keep)
