"""A quantized port is measured against its own unquantized weights, layer by layer and from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from portwright.verify.battery import check_ids
from portwright.verify.blame import failing
from verifylab import make_moves, make_port, measure

# What remap does, in a process of its own: MLX stays out of the tests'. A `spoil` key is quantized from other weights.
QUANTIZE = """
import json, sys
import mlx.core as mx
source, target, spoil = sys.argv[1:4]
weights, made = mx.load(source), {}
for key, value in weights.items():
    layer = key.removesuffix(".weight")
    if key != layer and value.ndim == 2 and value.shape[1] % 32 == 0:
        value = value[::-1] if layer == spoil else value
        made[key], made[layer + ".scales"], made[layer + ".biases"] = mx.quantize(value, 32, 8)
    else:
        made[key] = value
mx.save_safetensors(target, made)
"""


@pytest.fixture
def quantized(text: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """An 8-bit port of the text encoder, and how to measure it."""
    port = make_port("text", text.golden, tmp_path / "port")
    plain = tmp_path / "plain.safetensors"
    (port / "model.safetensors").rename(plain)
    config = json.loads((port / "config.json").read_text())
    (port / "config.json").write_text(json.dumps({**config, "quantization": {"bits": 8, "group_size": 32}}))
    moves = make_moves(text.golden, port, tmp_path / "moves.json")
    budget = {"rel_l2": 0.1, "kl": 0.05, "top1": 0.9}

    def run(spoil: str = "", **changes: object) -> dict[str, object]:
        target = str(port / "model.safetensors")
        subprocess.run([sys.executable, "-c", QUANTIZE, str(plain), target, spoil], check=True)
        job = {"unquantized": [str(plain)], "moves": str(moves), "snapshot": str(text.golden), "budget": budget}
        return measure(port, text.golden, tmp_path / "m.json", **{**job, **changes})

    return SimpleNamespace(run=run, budget=budget)


def test_a_quantized_port_passes_within_its_budget(quantized: SimpleNamespace) -> None:
    """Its code is judged unquantized, its layers and its outputs against the unquantized port."""
    body = quantized.run()
    assert failing(body) == []
    assert set(body["checks"]) == set(check_ids(body["facts"], quantized=True, budget=quantized.budget))
    assert 0 < body["checks"]["quantization/rel_l2"]["value"] < 0.1
    assert 0 < body["checks"]["quantization/layers"]["value"] < 0.016


def test_a_layer_quantized_from_other_weights_is_caught(quantized: SimpleNamespace) -> None:
    """A layer whose quantized weights are not its own is named."""
    body = quantized.run(spoil="layers.1.mlp.gate_up")
    assert "quantization/layers" in failing(body)
    assert "layers.1.mlp.gate_up: 1." in body["checks"]["quantization/layers"]["detail"]


def test_a_small_budget_is_exceeded(quantized: SimpleNamespace) -> None:
    """A budget that the outputs exceed fails by that figure alone."""
    assert failing(quantized.run(budget={"rel_l2": 1e-4})) == ["quantization/rel_l2"]


def test_without_unquantized_weights_it_is_not_run(quantized: SimpleNamespace) -> None:
    """On a machine without the source nothing passes that was not measured."""
    body = quantized.run(unquantized=None, moves=None, snapshot=None)
    missing = {item["check"].partition("/")[0] for item in body["not_run"]}
    assert {"isolate", "outputs", "bijection", "quantization"} <= missing
    assert not any(check.startswith(("isolate/", "outputs/", "quantization/")) for check in body["checks"])
