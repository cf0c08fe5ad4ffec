"""The same weights in another layout give the same port, byte for byte, and both are given back exactly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from remap_harness import bound, export, headers_of, remap, save, weights
from safetensors.numpy import load_file
from second_layout import RULES, write_second_layout

CONFIG = {"num_hidden_layers": 3, "max_position_embeddings": 10}
DROP = 'schema = 1\n[[rule]]\nmatch = "embeddings.position_ids"\n'
DROP += 'drop = { reason = "index buffer", restore = { arange = "max_position_embeddings" } }\n'


def small_encoder(width: int = 6, inner: int = 14) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {f"embeddings.LayerNorm.{p}": (width,) for p in ("weight", "bias")}
    for name, rows in (("word", 23), ("position", 10), ("token_type", 2)):
        shapes[f"embeddings.{name}_embeddings.weight"] = (rows, width)
    for i in range(3):
        linear = {f"attention.self.{name}": (width, width) for name in ("query", "key", "value")}
        linear |= {"attention.output.dense": (width, width), "output.dense": (width, inner)}
        for name, shape in {**linear, "intermediate.dense": (inner, width)}.items():
            shapes |= {f"encoder.layer.{i}.{name}.weight": shape, f"encoder.layer.{i}.{name}.bias": shape[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"encoder.layer.{i}.{name}.{p}": (width,) for p in ("weight", "bias")}
    shapes |= {"pooler.dense.weight": (width, width), "pooler.dense.bias": (width,)}
    tensors: dict[str, np.ndarray[Any, Any]] = {
        k: random.standard_normal(s).astype(np.float32) for k, s in shapes.items()
    }
    return {**tensors, "embeddings.position_ids": np.arange(10)[None]}


def check_both(folder: Path, tensors: dict[str, np.ndarray[Any, Any]], config: dict[str, Any]) -> None:
    write_second_layout(tensors, folder / "second")
    names = set(tensors) - {"embeddings.position_ids"}
    assert set(headers_of(folder / "second")).isdisjoint(tensors)
    remap(bound(folder / "first", DROP, names, config), folder / "first", folder / "port1")
    remap(bound(folder / "second", RULES.read_text(), names, config), folder / "second", folder / "port2")
    first, second = weights(folder / "port1"), weights(folder / "port2")
    assert set(first) == set(second) == names
    assert all(first[key].tobytes() == second[key].tobytes() == tensors[key].tobytes() for key in names)
    for source, port in (("first", "port1"), ("second", "port2")):
        export(folder / port, folder / f"back-{source}")
        for path in (folder / source).glob("*.safetensors"):
            assert (folder / f"back-{source}" / path.name).read_bytes() == path.read_bytes()


def test_two_layouts_of_one_encoder_give_one_port(tmp_path: Path) -> None:
    """Prefix, fused q, k, v, a transposed matrix and two shards end up as the library's own layout does."""
    save(tmp_path / "first", small_encoder())
    check_both(tmp_path, small_encoder(), CONFIG)


@pytest.mark.slow
@pytest.mark.skipif("PORTWRIGHT_MINILM" not in os.environ, reason="PORTWRIGHT_MINILM names no model.safetensors")
def test_real_weights_in_two_layouts_give_one_port(tmp_path: Path) -> None:
    """The same on the real sentence encoder's file, which export gives back with its header."""
    source = Path(os.environ["PORTWRIGHT_MINILM"])
    (tmp_path / "first").mkdir()
    (tmp_path / "first/model.safetensors").write_bytes(source.read_bytes())
    check_both(tmp_path, load_file(source), {"num_hidden_layers": 6, "max_position_embeddings": 512})
