"""Losses: ported where labels are given, and a config that would choose another loss is refused by its field's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import bench
from grade import worst
from safetensors.numpy import save_file
from test_asked_outputs import ENCODER
from test_heads import DECODER, LABELS

CLASSES = {
    "transformers:BertForSequenceClassification": (2,),
    "transformers:LlamaForCausalLM": (2, 7),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("losses")
    cases = []
    for name, shape in CLASSES.items():
        probe = folder / f"{name.partition(':')[2]}.safetensors"
        tokens = np.arange(14).reshape(2, 7) % 60
        labels = np.arange(np.prod(shape)).reshape(shape) % 3
        save_file({"input_ids": tokens, "attention_mask": np.ones((2, 7), np.int64), "labels": labels}, str(probe))
        config = {**(ENCODER if "Bert" in name else DECODER), **LABELS}
        other = {**config, "problem_type": "multi_label_classification"} if len(shape) == 1 else config
        cases.append({"reference": name, "configs": [config, other], "probes": [str(probe)], "lenient": True})
    return dict(zip(CLASSES, bench(cases, folder), strict=True))


@pytest.mark.parametrize("name", CLASSES)
def test_a_loss_is_the_references(name: str, reports: dict[str, Any]) -> None:
    """The first output, computed from labels, like any other output."""
    report = reports[name]
    assert report["holes"] == []
    assert worst({"figures": [f for f in report["figures"] if f["config"] == 0]}) < 5e-6, report["figures"]


def test_a_field_that_code_assigns_must_start_as_it_did(reports: dict[str, Any]) -> None:
    """`if config.problem_type is None: config.problem_type = "..."`: a config that says another type is refused."""
    text = (Path(reports["transformers:BertForSequenceClassification"]["port"]) / "model.py").read_text()
    assert "self.problem_type is not None" in text and "self.num_labels == 1" in text
