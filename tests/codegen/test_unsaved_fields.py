"""A field that `getattr(config, "x", default)` asks for and that no observed config had: one that has it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import bench
from grade import worst

CONFIG: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "type_vocab_size": 0,
}


def test_a_config_with_the_field_is_refused_by_its_name(tmp_path: Path) -> None:
    """With what the reference takes for granted it is the same model; with another value a layer more."""
    configs = [CONFIG, {**CONFIG, "conv_kernel_size": 3, "conv_act": "tanh"}, {**CONFIG, "conv_kernel_size": 0}]
    (report,) = bench([{"reference": "transformers:DebertaV2Model", "configs": configs}], tmp_path)
    assert report["holes"] == []
    assert {f["config"]: "conv_kernel_size=3" in f["refused"] for f in report["figures"] if "refused" in f} == {1: True}
    assert worst({"figures": [f for f in report["figures"] if "refused" not in f]}) < 5e-6
