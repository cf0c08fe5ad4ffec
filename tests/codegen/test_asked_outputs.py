"""Hidden states that a library's hooks record: in the port where callers ask for them, and refused to others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import bench
from grade import worst
from safetensors.numpy import save_file
from test_heads import DECODER

ENCODER = {**DECODER, "type_vocab_size": 2}
ENCODER.pop("num_key_value_heads")
SPEECH = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "conv_dim": [8, 8],
    "conv_stride": [4, 4],
    "conv_kernel": [8, 8],
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 12,
    "use_weighted_layer_sum": True,
}
# The layers of the first are called by a module inside the one whose outputs are collected, those of the second not.
ASKED = {
    "transformers:BertModel": (ENCODER, {"output_hidden_states": True, "return_dict": True}),
    "transformers:LlamaModel": (DECODER, {"output_hidden_states": True, "use_cache": False}),
    "transformers:BertForTokenClassification": ({**ENCODER, "output_hidden_states": True}, {}),
}


# These ask for hidden states themselves, in their `**kwargs`, and take them by a constant of their Python module.
WEIGHTED = "transformers:Wav2Vec2ForSequenceClassification"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("asked")
    cases = []
    for name, (config, asked) in ASKED.items():
        probe = folder / f"{name.partition(':')[2]}.safetensors"
        tensors = {"input_ids": np.arange(14).reshape(2, 7) % 60, "attention_mask": np.ones((2, 7), np.int64)}
        save_file(tensors, str(probe), {"kwargs": json.dumps(asked)})
        cases.append(
            {"reference": name, "configs": [config, {**config, "num_hidden_layers": 3}], "probes": [str(probe)]}
        )
    cases.append({"reference": WEIGHTED, "configs": [SPEECH, {**SPEECH, "num_hidden_layers": 3}]})
    return dict(zip([*ASKED, WEIGHTED], bench(cases, folder), strict=True))


@pytest.mark.parametrize("name", ASKED)
def test_hidden_states_that_hooks_record_are_outputs(name: str, reports: dict[str, Any]) -> None:
    """One for the embeddings and one for each layer, whatever the number of layers, beside the other outputs."""
    report = reports[name]
    assert report["holes"] == []
    assert worst(report) < 5e-6, report["figures"]
    counts = [len(f["errors"]) for f in report["figures"]]
    assert counts[1] == counts[0] + 1 and counts[0] >= 4


def test_another_request_is_refused(reports: dict[str, Any]) -> None:
    """A port that always gives hidden states says so to whoever does not ask for them, by config or by argument."""
    called = (Path(reports["transformers:LlamaModel"]["port"]) / "model.py").read_text()
    assert "if not output_hidden_states:" in called
    built = (Path(reports["transformers:BertForTokenClassification"]["port"]) / "model.py").read_text()
    assert "not self.output_hidden_states" in built


def test_a_model_may_ask_for_hidden_states_itself(reports: dict[str, Any]) -> None:
    """By a keyword that it sets for the model inside it, whose layers are called under a test."""
    report = reports[WEIGHTED]
    assert report["holes"] == []
    assert worst(report) < 5e-6, report["figures"]
