"""Quantized ports: what mx.quantize gives for the whole weight, named as mlx-lm names it, mixed as the recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from portwright.errors import PortError
from portwright.remap import quantize as quantize_module
from remap_harness import bound, export, remap, save


def port(tmp_path: Path, recipe: dict[str, Any], **job: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(0)
    tensors = {
        "embed.weight": random.standard_normal((50, 128)).astype(np.float32),
        "layers.0.q.weight": random.standard_normal((64, 128)).astype(np.float32),
        "layers.0.q.bias": random.standard_normal(64).astype(np.float32),
        "layers.0.odd.weight": random.standard_normal((8, 48)).astype(np.float32),
        "layers.0.conv.weight": random.standard_normal((8, 3, 128)).astype(np.float32),
        "norm.weight": random.standard_normal(128).astype(np.float32),
    }
    save(tmp_path / "source", tensors)
    binding = bound(tmp_path / "source", "schema = 1", tensors)
    result = remap(binding, tmp_path / "source", tmp_path / "port", quantize=recipe, **job)
    return tensors, mx.load(str(tmp_path / "port/model.safetensors")), result


@pytest.mark.parametrize(
    ("mode", "bits", "group"),
    [*(("affine", bits, 32) for bits in (2, 3, 4, 5, 6, 8)), ("affine", 4, 128), ("mxfp4", 4, 32), ("mxfp8", 8, 32),
     ("nvfp4", 4, 16)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_mode_gives_what_mlx_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, bits: int, group: int, dtype: str
) -> None:
    """Weight, scales and biases are bit for bit those of quantizing the whole cast weight, also piece by piece."""
    monkeypatch.setattr(quantize_module, "_BLOCK", 128 * 7)
    recipe = {"mode": mode, "bits": bits, "group_size": group}
    tensors, found, _ = port(tmp_path, recipe, dtype=dtype)
    for name in ("embed", "layers.0.q"):
        weight = mx.array(tensors[f"{name}.weight"]).astype(getattr(mx, dtype))
        for part, array in zip(("weight", "scales", "biases"), mx.quantize(weight, group, bits, mode), strict=False):
            assert found[f"{name}.{part}"].dtype == array.dtype
            assert mx.array_equal(found[f"{name}.{part}"], array).item()
    assert ("embed.biases" in found) == (mode == "affine")


def test_what_stays_and_what_differs_is_told_to_the_loader(tmp_path: Path) -> None:
    """The config object is mlx-lm's: the default, false for a layer that stays, an object for one that differs."""
    layers = [{"match": "layers.*.q", "bits": 8}]
    recipe = {"mode": "affine", "bits": 4, "group_size": 64, "keep": ["embed*"], "layers": layers}
    _, found, result = port(tmp_path, recipe)
    assert result["quantization"] == {
        "bits": 4,
        "group_size": 64,
        "mode": "affine",
        "embed": False,
        "layers.0.conv": False,
        "layers.0.odd": False,
        "layers.0.q": {"bits": 8, "group_size": 64, "mode": "affine"},
    }
    assert {key for key in found if key.endswith("scales")} == {"layers.0.q.scales"}
    assert found["layers.0.q.weight"].shape == (64, 32)
    assert found["embed.weight"].dtype == mx.float32
    assert result["parameters"] == 50 * 128 + 64 * 128 + 64 + 8 * 48 + 8 * 3 * 128 + 128


def test_named_modules_are_quantized_whatever_their_rank(tmp_path: Path) -> None:
    """A list of quantizable modules reaches stacked experts, and spares what only looks like a linear layer."""
    _, found, _ = port(tmp_path, {"bits": 4, "group_size": 64, "modules": ["layers.0.conv"]})
    assert {key for key in found if key.endswith("scales")} == {"layers.0.conv.scales"}
    assert found["layers.0.conv.weight"].shape == (8, 3, 16)


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ({"mode": "int4"}, "'int4' is not a mode"),
        ({"mode": "affine", "bits": 7}, "affine cannot have 7 bits"),
        ({"mode": "affine", "bits": 4, "group_size": 16}, "affine cannot have groups of 16"),
        ({"mode": "mxfp4", "bits": 4, "group_size": 64}, "mxfp4 cannot have groups of 64"),
        ({"bits": 4, "layers": [{"match": "*", "bits": 1}]}, "affine cannot have 1 bits"),
    ],
)
def test_settings_that_mlx_does_not_know_are_refused(tmp_path: Path, recipe: dict[str, Any], problem: str) -> None:
    """An impossible mode, width or group is an error with the possible ones, before anything is written."""
    with pytest.raises(PortError, match=problem) as caught:
        port(tmp_path, recipe)
    assert "one of: " in caught.value.problems[0].hint
    assert not (tmp_path / "port").exists()


def test_a_quantized_port_is_not_exported(tmp_path: Path) -> None:
    """Export refuses, naming the tensor, since the source's bytes are gone."""
    port(tmp_path, {"bits": 4, "group_size": 64})
    with pytest.raises(PortError, match="is quantized, so its source cannot be given back"):
        export(tmp_path / "port", tmp_path / "back")
