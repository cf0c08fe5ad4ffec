"""Bugs planted in a port that codegen wrote, of a library's architecture: the verifier knows neither beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from portwright.workers import run_worker

# A BERT small enough to be quick; every size differs from the others where the architecture allows it.
CONFIG = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


@pytest.mark.slow
def test_bugs_in_a_generated_port_are_caught_in_their_place(tmp_path: Path) -> None:
    """Every planted bug that applies to a generated BERT is caught and blamed on the module that holds it."""
    reference = {"reference": "transformers:BertModel", "seed": 0}
    trace, port, golden = tmp_path / "trace", tmp_path / "port", tmp_path / "golden"
    run_worker("portwright.codegen.observe", {**reference, "configs": [CONFIG], "out": str(trace)})
    run_worker("portwright.codegen.generate", {"trace": str(trace), "out": str(port)}, mlx=True)
    job = {**reference, "config": str(port / "config.json"), "mode": "redraw", "dtypes": ["float32"]}
    run_worker("portwright.verify.capture", {**job, "out": str(golden)})
    weights = {"reference": str(golden / "reference.safetensors"), "portmap": str(port / "portmap.json")}
    run_worker("portwright.verify.assemble", {**weights, "out": str(port / "model.safetensors")})

    made = run_worker("portwright.verify.mutate", {"port": str(port), "golden": str(golden), "out": ""}, mlx=True)

    outcomes = made["outcomes"]
    assert [o["mutant"] for o in outcomes if not o["caught"]] == []
    assert [(o["mutant"], o["where"], o["blamed"]) for o in outcomes if not o["right"]] == []
    assert len({o["mutant"] for o in outcomes}) >= 14
    assert json.loads((port / "portmap.json").read_text())["holes"] == []
