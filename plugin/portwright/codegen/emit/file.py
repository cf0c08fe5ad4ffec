"""The whole file: first line, licence, imports, arguments, helpers, functions, classes; formatted."""

from __future__ import annotations

import ast
import re
from typing import Any

import black

from portwright.codegen.emit.arguments import model_args
from portwright.codegen.emit.classes import definitions
from portwright.codegen.emit.layer_configs import SNIPPET as LAYER_CONFIG
from portwright.codegen.emit.text import comment_lines, narrowed
from portwright.codegen.emit.work import Work
from portwright.codegen.holes import Assumption, Hole
from portwright.codegen.idioms.capped_attention import BOOLEAN as CAPPED_BOOLEAN
from portwright.codegen.idioms.capped_attention import SNIPPET as CAPPED
from portwright.codegen.quote import loads
from portwright.codegen.runtime.experts import CALL, SNIPPET
from portwright.codegen.trace import Trace
from portwright.codegen.translate.snippets import IMPORTS, NEEDS
from portwright.codegen.translate.snippets import SNIPPETS as LAYERS

SNIPPETS = {
    "capped_attention": CAPPED,
    "capped_attention_boolean": CAPPED_BOOLEAN,
    "config_of_layer": LAYER_CONFIG,
    "sequential": """def sequential(layers, x):
    for layer in layers:
        x = layer(x)
    return x
""",
    "nested_sequential": """def nested_sequential(layers, x):
    for layer in layers:
        x = nested_sequential(layer, x) if isinstance(layer, list) else layer(x)
    return x
""",
    "activation": '''def activation(name):
    """The activation function of this name."""
    functions = {"silu": nn.silu, "swish": nn.silu, "mish": nn.mish, "gelu": nn.gelu, "relu": nn.relu}
    if name.lower() not in functions:
        raise ValueError(f"activation function {name} is none of {list(functions)}")
    return functions[name.lower()]
''',
    "make_causal_mask": '''def make_causal_mask(
    inputs_embeds, attention_mask=None, position_ids=None, window=None, blocks=None
):
    """An additive mask: a token sees itself and what precedes it (within the window), and no padding."""
    length = inputs_embeds.shape[1]
    distance = mx.arange(length)[:, None] - mx.arange(length)
    mask = (distance >= 0)[None, None]
    if window is not None:
        mask = mask & (distance < window)
    if blocks is not None:  # tokens of one block see each other both ways
        mask = mask | ((blocks[:, :, None] == blocks[:, None]) & (blocks >= 0)[..., None])[:, None]
    if attention_mask is not None:
        mask = mask & (attention_mask[:, None, None, :] != 0)
    elif position_ids is not None:
        # where positions jump, another sequence begins that is packed into the same row
        starts = position_ids[:, 1:] != position_ids[:, :-1] + 1
        packed = mx.pad(mx.cumsum(starts.astype(mx.int32), axis=-1), [(0, 0), (1, 0)])
        mask = mask & (packed[:, None, :, None] == packed[:, None, None, :])
    dtype = inputs_embeds.dtype
    return mx.where(mask, 0.0, mx.finfo(dtype).min).astype(dtype)
''',
    "masks_by_kind": '''def masks_by_kind(
    kinds, inputs_embeds, attention_mask=None, position_ids=None, window=None, blocks=None
):
    """The causal mask of each kind of layer."""
    made = {}
    for kind in set(kinds):
        if kind not in ("full_attention", "sliding_attention"):
            raise NotImplementedError(f"no mask for layers of the kind {kind}")
        own = window if kind == "sliding_attention" else None
        made[kind] = make_causal_mask(inputs_embeds, attention_mask, position_ids, own, blocks)
    return made
''',
    "rotate": '''def rotate(x, freqs, cache):
    """Rotate features by the positions that follow what the cache holds."""
    dims = 2 * freqs.size
    offset = 0 if cache is None else cache.offset
    return mx.fast.rope(x, dims, traditional=False, base=None, scale=1.0, offset=offset, freqs=freqs)
''',
    "rotate_scaled": '''def rotate_scaled(x, freqs, scale, cache):
    """Rotate features by the positions that follow what the cache holds."""
    dims = 2 * freqs.size
    if scale != 1.0:
        x = mx.concatenate([x[..., :dims] * scale, x[..., dims:]], axis=-1)
    offset = 0 if cache is None else cache.offset
    return mx.fast.rope(x, dims, traditional=False, base=None, scale=1.0, offset=offset, freqs=freqs)
''',
    "rotate_pairs": '''def rotate_pairs(x, freqs, cache):
    """Rotate neighbouring features by the positions that follow what the cache holds."""
    dims = 2 * freqs.size
    offset = 0 if cache is None else cache.offset
    return mx.fast.rope(x, dims, traditional=True, base=None, scale=1.0, offset=offset, freqs=freqs)
''',
    "rotate_pairs_scaled": '''def rotate_pairs_scaled(x, freqs, scale, cache):
    """Rotate neighbouring features by the positions that follow what the cache holds."""
    dims = 2 * freqs.size
    if scale != 1.0:
        x = mx.concatenate([x[..., :dims] * scale, x[..., dims:]], axis=-1)
    offset = 0 if cache is None else cache.offset
    return mx.fast.rope(x, dims, traditional=True, base=None, scale=1.0, offset=offset, freqs=freqs)
''',
    "cached_tokens": '''def cached_tokens(cache):
    """How many tokens a cache has seen; in a padded batch the rows differ, and each has its own number."""
    return cache.offset[:, None] if isinstance(cache.offset, mx.array) else cache.offset
''',
    "by_row": '''def by_row(positions):
    """Positions as (1, length), or as (batch, length) where the rows differ."""
    return positions[None] if positions.ndim == 1 else positions
''',
    "first_cache": '''def first_cache(cache, layer_types, kind):
    """The cache of the first layer of this kind, None where there is none."""
    return next((c for c, t in zip(cache, layer_types) if t == kind), None)
''',
    "additive_mask": '''def additive_mask(inputs_embeds, cache, window_size=None):
    """A mask to be added to attention scores, of whatever the cache holds."""
    mask = create_attention_mask(inputs_embeds, cache, window_size=window_size, return_array=True)
    dtype = inputs_embeds.dtype
    if mask is None:
        return mx.array(0.0, dtype)
    return mx.where(mask, 0.0, mx.finfo(dtype).min).astype(dtype)
''',
    "make_recurrent_mask": '''def make_recurrent_mask(inputs_embeds, attention_mask):
    """The padding mask of the tokens at hand; a single token is never padding."""
    length = inputs_embeds.shape[1]
    return None if attention_mask is None or length == 1 else attention_mask[:, -length:]
''',
    "pad_from_last": '''def pad_from_last(x, widths, value=0):
    """Pad by pairs of widths that count axes from the last one backwards; negative widths cut."""
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)][::-1]
    cuts = [slice(max(-a, 0), b if b < 0 else None) for a, b in pairs]
    added = [(max(a, 0), max(b, 0)) for a, b in pairs]
    return mx.pad(x[(..., *cuts)], [(0, 0)] * (x.ndim - len(pairs)) + added, constant_values=value)
''',
    "make_chunked_causal_mask": '''def make_chunked_causal_mask(
    inputs_embeds, chunk_size, attention_mask=None, position_ids=None
):
    """A causal mask within chunks, which are counted from the first token of a row that is no padding."""
    mask = make_causal_mask(inputs_embeds, attention_mask, position_ids)
    place = mx.arange(inputs_embeds.shape[1])[None]
    if attention_mask is not None:
        place = place - mx.sum(mx.cumsum(attention_mask, axis=-1) == 0, axis=-1, keepdims=True)
    elif position_ids is not None:
        packed = mx.any(position_ids[:, 1:] != position_ids[:, :-1] + 1)
        place = mx.where(packed, position_ids, place)
    chunk = place // chunk_size
    same = chunk[:, None, :, None] == chunk[:, None, None, :]
    return mx.where(same, mask, mx.finfo(mask.dtype).min).astype(mask.dtype)
''',
    "largest_k": '''def largest_k(x, k):
    """The k largest values of the last axis, the largest first, and where they are."""
    index = mx.argsort(-x, axis=-1)[..., :k].astype(mx.int32)
    return mx.take_along_axis(x, index, axis=-1), index
''',
    "expert_linear": '''def expert_linear(x, weight, index):
    """Each token through its own k experts: x of (tokens, 1 or k, in) and weight of (experts, in, out)."""
    return mx.gather_mm(x[..., None, :], weight, rhs_indices=index).squeeze(-2)
''',
    "dynamic_inv_freq": '''def dynamic_inv_freq(inv_freq, config, position_ids):
    """Rotary frequencies whose base grows with the length, once that is past what the model was trained for."""
    rope, trained = config.rope_parameters, config.max_position_embeddings
    length = mx.maximum(mx.max(position_ids) + 1, trained)
    dim = 2 * inv_freq.size
    growth = rope["factor"] * length / trained - (rope["factor"] - 1)
    base = rope["rope_theta"] * growth ** (dim / (dim - 2))
    return 1.0 / base ** (mx.arange(0, dim, 2, dtype=mx.float32) / dim)
''',
    "expanded": '''def expanded(x, *sizes):
    """Broadcast to sizes, of which -1 keeps an axis as it is."""
    kept = (1,) * (len(sizes) - x.ndim) + x.shape
    return mx.broadcast_to(x, [k if s == -1 else s for s, k in zip(sizes, kept)])
''',
    "split_by": '''def split_by(x, size, axis):
    """Parts of a size along an axis; the last is what is left."""
    return mx.split(x, list(range(size, x.shape[axis], size)), axis=axis)
''',
    "uneven_chunks": '''def uneven_chunks(x, count, axis):
    """At most so many parts along an axis, all but the last of one size."""
    size = -(-x.shape[axis] // count)
    return mx.split(x, list(range(size, x.shape[axis], size)), axis=axis)
''',
    "refuse": '''def refuse(args, unseen, *names):
    """Refuse a config that needs what no run of the reference did."""
    if unseen:
        flags = ", ".join(f"{name}={getattr(args, name)!r}" for name in names)
        raise ValueError(f"this port was generated without what {flags} needs")
''',
    "not_ported": '''def not_ported(what):
    """What no run of the reference did has no code here."""
    raise NotImplementedError(f"not ported: {what}")
''',
    "quantize": '''def quantize(model: nn.Module, quantization: dict):
    """Make the layers quantized that the config says a checkpoint holds quantized."""
    options = {k: quantization[k] for k in ("group_size", "bits", "mode") if k in quantization}

    def chosen(path, module):
        if path in quantization:
            return quantization[path]
        if not hasattr(module, "to_quantized"):
            return False
        return module.weight.shape[-1] % options.get("group_size", 64) == 0

    nn.quantize(model, **options, class_predicate=chosen)
''',
}


# What a port with the runtime "mlx-lm" may import, by module.
MLX_LM = {
    "mlx_lm.models.base": {"BaseModelArgs", "create_attention_mask", "scaled_dot_product_attention"},
    "mlx_lm.models.cache": {"KVCache", "RotatingKVCache"},
    "mlx_lm.models.switch_layers": {"SwitchLinear"},
}


def file_text(work: Work, command: str, licence: dict[str, Any] | None) -> str:
    """The generated module."""
    trace, trace_runtime = work.program.trace, work.program.runtime
    arguments, needs = model_args(work, assumptions(work))
    parts = definitions(work)
    demands = [d for f in work.done.values() for d in f.demands]
    snippets = dict.fromkeys([d.a for d in demands if d.kind == "snippet"])
    snippets |= dict.fromkeys(base for part in parts for base in bases(part) if base in LAYERS)
    if trace_runtime == "standalone":
        snippets["quantize"] = None
    if "refuse(" in arguments:
        snippets = {"refuse": None, **snippets}
    carried = [n for s in snippets for n in (*NEEDS.get(s, ()), s)]
    needs |= {line for s in carried for line in IMPORTS.get(s, ())}
    known = {**SNIPPETS, **LAYERS, **({CALL: SNIPPET} if work.stacks else {})}
    texts = called_texts({s: known[s] for s in carried}, [arguments, *parts])
    texts += [record_text(*r) for r in dict.fromkeys((d.a, d.b) for d in demands if d.kind == "record")]
    body = "\n\n\n".join([arguments, *texts, *parts])
    imports = import_lines(body, needs, {d.a for d in demands if d.kind == "import"})
    head = comment_lines([first_line(trace, command), "edits are kept when it is generated again."], "")
    head.append("#")
    if licence and licence.get("text"):
        head += [f"# {line}".rstrip() for line in str(licence["text"]).splitlines()] + ["#"]
    for block in trace.licences:
        head += [*block.splitlines(), "#"]
    text = "\n".join(head[:-1]) + "\n\n" + imports + "\n\n" + body + "\n"
    return narrowed(black.format_str(text, mode=black.Mode()))


def called_texts(known: dict[str, str], parts: list[str]) -> list[str]:
    """The carried functions that something calls: tidying may have removed what asked for one."""
    kept: list[str] = []
    read = {name for part in parts for name in loads(ast.parse(part))}
    for name, text in reversed(known.items()):  # what one needs stands before it
        if name in read or not re.search(rf"^(def|class) {name}\b", text, re.MULTILINE):
            kept.insert(0, text)
            read |= loads(ast.parse(text))
    return kept


def first_line(trace: Trace, command: str) -> str:
    """Where the file comes from."""
    source = trace.reference if trace.reference not in command else ""
    made = " from ".join(part for part in (f"Generated by `{command}`", source) if part)
    return f"{made}{f' with {trace.library}' if trace.library else ''};"


def bases(text: str) -> list[str]:
    """The plain names that classes of a text derive from."""
    classes = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
    return [b.id for n in classes for b in n.bases if isinstance(b, ast.Name)]


def record_text(name: str, fields: tuple[str, ...]) -> str:
    """The class of values with names."""
    return f"{name} = namedtuple({name!r}, {list(fields)})\n"


def import_lines(body: str, needs: set[str], asked: set[str]) -> str:
    """Imports that the text uses, sorted as isort does."""
    names = {n.id for n in ast.walk(ast.parse(body)) if isinstance(n, ast.Name)}
    asked = asked | {n for n in needs if n.startswith("import ")}
    standard = {f"from dataclasses import {', '.join(sorted(needs - asked - {'Any'}))}"}
    if "Any" in needs:
        standard.add("from typing import Any")
    for line in asked:
        bound = re.split(r" import | as |import ", line)[-1]
        if bound in names:
            standard.add(line)
    plain = sorted(x for x in standard if x.startswith("import "))
    from_ = sorted(x for x in standard if x.startswith("from "))
    mlx = ["import mlx.core as mx"] if "mx" in names else []
    lm = [
        f"from {module} import {', '.join(used)}" for module, given in MLX_LM.items() if (used := sorted(given & names))
    ]
    return "\n".join([*plain, *from_, "", *mlx, "import mlx.nn as nn", *lm])


def holes(work: Work) -> list[Hole]:
    """The holes of the functions that are in the file."""
    trace = work.program.trace
    emitted = {*work.facts.called, trace.entry, trace.init}
    return [h for fid, f in work.done.items() if fid in emitted for h in f.holes]


def assumptions(work: Work) -> list[Assumption]:
    """Every assumption of the emitted code, once each."""
    found = [a for f in work.done.values() for a in f.assumptions]
    found += [d.a for f in work.done.values() for d in f.demands if d.kind == "assume"]
    return list(dict.fromkeys(found))
