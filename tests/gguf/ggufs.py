"""GGUF files for the tests, written by the gguf library: small, and of the layout that llama.cpp gives a Llama."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Array = np.ndarray[Any, Any]
HEADS, KV_HEADS, HEAD_DIM, HIDDEN, INNER, LAYERS, VOCAB = 4, 2, 16, 64, 96, 2, 71
CONFIG = {
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
}

METADATA = {
    "llama.block_count": LAYERS,
    "llama.context_length": 128,
    "llama.embedding_length": HIDDEN,
    "llama.feed_forward_length": INNER,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.rope.dimension_count": HEAD_DIM,
    "llama.rope.freq_base": 100000.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-05,
    "llama.vocab_size": VOCAB,
    "tokenizer.ggml.tokens": [f"t{i}" for i in range(VOCAB)],
    "general.name": "small",
}


def write(path: Path, tensors: Mapping[str, tuple[Array, str]], metadata: Mapping[str, Any] | None = None) -> Path:
    """Write float32 arrays, each as the named GGUF type, below metadata of numbers, texts and lists."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in (metadata or {}).items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    for key, (array, name) in tensors.items():
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(key, stored(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def stored(array: Array, kind: gguf.GGMLQuantizationType) -> Array:
    """The array's bytes as the type; zeros for a type that the library reads and does not write."""
    try:
        return gguf.quantize(array, kind)
    except NotImplementedError:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        return np.zeros((*array.shape[:-1], array.shape[-1] // elements * size), np.uint8)


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def llama(quantized: str = "Q4_1", vocabulary: int = VOCAB) -> tuple[dict[str, tuple[Array, str]], dict[str, Array]]:
    """The tensors of a small Llama as llama.cpp stores them, and the same by transformers' names before storing."""
    rows = {"q": HEADS * HEAD_DIM, "k": KV_HEADS * HEAD_DIM, "v": KV_HEADS * HEAD_DIM}
    stored: dict[str, tuple[Array, str]] = {}
    named: dict[str, Array] = {}

    def add(key: str, name: str, array: Array, kind: str, heads: int = 0) -> None:
        named[name] = array
        stored[key] = (permuted(array, heads) if heads else array, kind)

    add("token_embd.weight", "model.embed_tokens.weight", drawn(vocabulary, HIDDEN, seed=1), "Q8_0")
    add("output_norm.weight", "model.norm.weight", drawn(HIDDEN, seed=2), "F32")
    for i in range(LAYERS):
        ours, theirs = f"blk.{i}", f"model.layers.{i}"
        add(f"{ours}.attn_norm.weight", f"{theirs}.input_layernorm.weight", drawn(HIDDEN, seed=10 * i + 3), "F32")
        add(f"{ours}.ffn_norm.weight", f"{theirs}.post_attention_layernorm.weight", drawn(HIDDEN, seed=4), "F32")
        for p, count in rows.items():
            heads = {"q": HEADS, "k": KV_HEADS, "v": 0}[p]
            array = drawn(count, HIDDEN, seed=10 * i + count + ord(p))
            add(f"{ours}.attn_{p}.weight", f"{theirs}.self_attn.{p}_proj.weight", array, quantized, heads)
        output = drawn(HIDDEN, rows["q"], seed=i + 50)
        add(f"{ours}.attn_output.weight", f"{theirs}.self_attn.o_proj.weight", output, quantized)
        for p, shape in {"gate": (INNER, HIDDEN), "up": (INNER, HIDDEN), "down": (HIDDEN, INNER)}.items():
            array = drawn(*shape, seed=i + ord(p[0]))
            add(f"{ours}.ffn_{p}.weight", f"{theirs}.mlp.{p}_proj.weight", array, quantized)
    return stored, named


def permuted(array: Array, heads: int) -> Array:
    """The rows of each head as llama.cpp orders them: the first and the second half of a head, by turns."""
    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def through(array: Array, name: str) -> Array:
    """What is left of an array after it was stored as the named type, by the gguf library."""
    kind = gguf.GGMLQuantizationType[name]
    return gguf.dequantize(gguf.quantize(array, kind), kind)
