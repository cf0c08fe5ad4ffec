"""A GGUF source is bound, proved and remapped like a safetensors one, dequantized or with its own quantization."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np
import pytest
from ggufs import CONFIG, Array, drawn, llama, permuted, through, write
from portwright.errors import PortError
from portwright.gguf.blocks import REPACKS, dequantize, plane
from portwright.remap.export import run as export
from portwright.remap.worker import run
from portwright.rules.bind import bind
from portwright.rules.load import parse_rules
from portwright.rules.moves import Binding
from portwright.stages.bind import read_headers
from portwright.workers import Emit
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "skills/llama/rules-gguf.toml").read_bytes()


def bound(folder: Path, rules: bytes, names: Any, config: Any = CONFIG) -> Binding:
    return bind(parse_rules(rules, "rules.toml"), read_headers(folder, ["m.gguf"]), names, config)


def remap(binding: Binding, folder: Path, **job: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    (folder / "moves.json").write_text(json.dumps(binding.to_json()))
    whole = {
        "moves": str(folder / "moves.json"),
        "snapshot": str(folder),
        "out": str(folder / "out"),
        "shard_bytes": 1e9,
    }
    result = run({"dtype": "float32", "quantize": None, **whole, **job}, Emit(StringIO()))
    return result, load_file(folder / "out" / "model.safetensors")


def values_of(written: dict[str, Array], result: dict[str, Any], path: str) -> Array:
    """A weight of a quantized port, dequantized by MLX with the port's own settings."""
    own = result["quantization"].get(path, result["quantization"])
    parts = [mx.array(written[f"{path}.{part}"]) for part in ("weight", "scales", "biases")]
    return np.array(mx.dequantize(*parts, group_size=own["group_size"], bits=own["bits"]))


@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0", "F16", "F32", "Q5_0"])
def test_dequantized_weights_are_the_librarys(kind: str, tmp_path: Path) -> None:
    """Every tensor arrives under transformers' name, heads in its order, with the values that the library gives."""
    stored, named = llama(kind)
    write(tmp_path / "m.gguf", stored)

    _, written = remap(bound(tmp_path, RULES, named), tmp_path)

    kinds = {key: kind for key, (_, kind) in zip(named, stored.values(), strict=True)}
    assert set(written) == set(named)
    for name, array in named.items():
        assert written[name].dtype == np.float32
        assert np.array_equal(written[name].view(np.uint32), through(array, kinds[name]).view(np.uint32)), name


def test_kept_quantization_is_not_rounded_again(tmp_path: Path) -> None:
    """MLX dequantizes the repacked blocks to the library's values bit for bit, also where rows were reordered."""
    stored, named = llama("Q4_1")
    write(tmp_path / "m.gguf", stored)

    result, written = remap(bound(tmp_path, RULES, named), tmp_path, quantize={"source": True, "keep": []})

    kinds = {key: kind for key, (_, kind) in zip(named, stored.values(), strict=True)}
    for name, array in named.items():
        path, expected = name.removesuffix(".weight"), through(array, kinds[name])
        given = written[name] if kinds[name] == "F32" else values_of(written, result, path)
        assert np.array_equal(given.view(np.uint32), expected.view(np.uint32)), name
    body = result["quantization"]
    assert (body["bits"], body["group_size"], body["mode"]) == (4, 32, "affine")
    assert body["model.embed_tokens"] == {"bits": 8, "group_size": 32, "mode": "affine"}
    assert {k for k in body if k.startswith("model.")} == {"model.embed_tokens"}


def test_keep_dequantizes_a_module(tmp_path: Path) -> None:
    """What `keep` names is written in full, and the config says that it is not quantized."""
    stored, named = llama()
    write(tmp_path / "m.gguf", stored)

    keep = {"source": True, "keep": ["model.embed_tokens"]}
    result, written = remap(bound(tmp_path, RULES, named), tmp_path, quantize=keep)

    assert result["quantization"]["model.embed_tokens"] is False
    assert written["model.embed_tokens.weight"].dtype == np.float32


@pytest.mark.parametrize("kind", REPACKS)
def test_each_repacked_type_gives_the_librarys_values(kind: str) -> None:
    """Codes, scales and biases give the library's values; a zero's sign aside, which no sum can give."""
    raw = gguf.quantize(drawn(7, 160), gguf.GGMLQuantizationType[kind])

    codes, scales, biases = (mx.array(plane(raw, kind, name)) for name in ("codes", "scales", "biases"))

    given = np.array(mx.dequantize(codes, scales, biases, group_size=32, bits=REPACKS[kind].bits))
    assert np.array_equal(given, dequantize(raw, kind))


def test_blocks_of_any_bytes_repack(tmp_path: Path) -> None:
    """Blocks that no quantizer writes (negative, huge and denormal scales, every code) give the library's values."""
    for kind, repack in REPACKS.items():
        size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]][1]
        raw = np.random.default_rng(3).integers(0, 256, (64, size), dtype=np.uint8)
        raw[:, 1] &= 0xBF  # finite scales
        raw[:, 3] &= 0xBF
        expected = dequantize(raw, kind)
        parts = [mx.array(plane(raw, kind, name)) for name in ("codes", "scales", "biases")]

        given = np.array(mx.dequantize(*parts, group_size=32, bits=repack.bits))

        assert np.array_equal(given, expected), kind


@pytest.mark.parametrize(
    ("stored", "ops", "said"),
    [
        ({"a": "Q4_1"}, "[{ transpose = [1, 0] }]", "reach into rows"),
        ({"a": "Q4_1"}, '[{ reshape = [32, "rest"] }]', "reach into rows"),
        ({"a": "Q4_K"}, "[]", "no packed form for blocks of Q4_K"),
        ({"a": "F32"}, "[]", "no quantized weight to keep"),
    ],
)
def test_what_cannot_be_kept_is_refused(stored: dict[str, str], ops: str, said: str, tmp_path: Path) -> None:
    """A move into rows, a type without a packed form and a source without blocks stop the run with a way out."""
    write(tmp_path / "m.gguf", {key: (drawn(64, 256), kind) for key, kind in stored.items()})
    rules = f'schema = 1\n[[rule]]\nmatch = "a"\nto = "m.weight"\nops = {ops}\n'.encode()
    binding = bound(tmp_path, rules, ["m.weight"], {})

    with pytest.raises(PortError, match=said):
        remap(binding, tmp_path, quantize={"source": True, "keep": []})


def test_the_rules_undo_the_order_of_rows() -> None:
    """The test's own order of rows is not the identity, so that the rules have something to undo."""
    rows = np.arange(64, dtype=np.float32)[:, None]

    assert not np.array_equal(permuted(rows, 4), rows)


def test_mlx_reads_the_same_codes_and_scales(tmp_path: Path) -> None:
    """MLX's own reader of GGUF gives the same packed codes, and the same scales and biases in float16."""
    for kind in ("Q4_1", "Q8_0"):
        path = write(tmp_path / f"{kind}.gguf", {"a.weight": (drawn(32, 64), kind)})
        raw = gguf.GGUFReader(path).tensors[0].data

        theirs = mx.load(str(path))

        assert np.array_equal(np.array(theirs["a.weight"]), plane(raw, kind, "codes")), kind
        for name in ("scales", "biases"):
            assert np.array_equal(np.array(theirs[f"a.{name}"], np.float32), plane(raw, kind, name)), (kind, name)


def test_a_gguf_file_is_not_given_back(tmp_path: Path) -> None:
    """Export says that a port does not hold the file's metadata and blocks, and writes nothing."""
    stored, named = llama()
    write(tmp_path / "m.gguf", stored)
    remap(bound(tmp_path, RULES, named), tmp_path)
    job = {"moves": str(tmp_path / "moves.json"), "port": str(tmp_path / "out"), "out": str(tmp_path / "back")}

    with pytest.raises(PortError, match="is a GGUF file"):
        export(job, Emit(StringIO()))

    assert not (tmp_path / "back").exists()


@pytest.mark.skipif("PORTWRIGHT_SMOLLM2" not in os.environ, reason="PORTWRIGHT_SMOLLM2 names no GGUF file")
def test_every_block_of_a_real_file_repacks() -> None:
    """SmolLM2's 210 Q4_1 tensors and its Q8_0 embedding come out of MLX as the gguf library's numbers, bit for bit."""
    counts: dict[str, int] = {}
    for tensor in gguf.GGUFReader(os.environ["PORTWRIGHT_SMOLLM2"]).tensors:
        kind = tensor.tensor_type.name
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "F32":
            continue
        parts = [mx.array(plane(tensor.data, kind, name)) for name in ("codes", "scales", "biases")]
        given = np.array(mx.dequantize(*parts, group_size=32, bits=REPACKS[kind].bits))
        expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(given.view(np.uint32), expected.view(np.uint32)), tensor.name

    assert counts == {"F32": 61, "Q4_1": 210, "Q8_0": 1}
