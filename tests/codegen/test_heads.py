"""Heads that a library shares between architectures, and those that write into their config, port like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import bench
from grade import worst

DECODER: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
BOTH: dict[str, Any] = {
    "vocab_size": 64,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 44,
    "max_position_embeddings": 40,
}
LABELS = {"id2label": {str(i): f"L{i}" for i in range(5)}, "label2id": {f"L{i}": i for i in range(5)}}
HEADS = {
    "transformers:LlamaForSequenceClassification": DECODER,
    "transformers:LlamaForTokenClassification": DECODER,
    "transformers:LlamaForQuestionAnswering": DECODER,
    "transformers:BartForQuestionAnswering": BOTH,
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    cases = [{"reference": name, "configs": [config, {**config, **LABELS}]} for name, config in HEADS.items()]
    return dict(zip(HEADS, bench(cases, tmp_path_factory.mktemp("heads")), strict=True))


@pytest.mark.parametrize("name", HEADS)
def test_a_head_gives_the_reference_numbers(name: str, reports: dict[str, Any]) -> None:
    """With the number of labels that it was generated for and with another."""
    report = reports[name]
    assert report["holes"] == []
    assert worst(report) < 5e-6, report["figures"]
    assert {f["config"] for f in report["figures"]} == {0, 1}


def test_what_a_head_writes_into_its_config_is_what_it_reads(reports: dict[str, Any]) -> None:
    """`config.num_labels = 2` in a constructor sets what the library's config computes the number from."""
    text = (Path(reports["transformers:BartForQuestionAnswering"]["port"]) / "model.py").read_text()
    assert "@num_labels.setter" in text
    assert "setattr(" not in (Path(reports["transformers:LlamaForQuestionAnswering"]["port"]) / "model.py").read_text()
