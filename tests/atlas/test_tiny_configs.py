"""Tiny configs and the inputs that exceptions.toml describes, made in a process of their own, as torch and MLX need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from portwright.cli import main
from portwright.workers import run_worker

DRAW = """
import json
import torch
from torch import nn
from portwright.reference.named_inputs import sizes_of
from portwright.reference.overrides import drawn, flattened, sized
model, out = nn.Linear(2, 2), {}
specs = flattened(json.loads(input()))
for name, spec in specs.items():
    sizes = sizes_of(model, 9, 2, variant=0)
    out[name] = drawn(sized(spec, model, sizes), torch.Generator().manual_seed(0)).tolist()
print(json.dumps(out))
"""


def test_a_part_of_a_config_gets_what_its_own_model_type_needs(tmp_path: Path) -> None:
    """A composed model's text part is shrunk as the text model alone is, down to the sections of its positions."""
    found = run_worker("portwright.atlas.shrink", {"reference": "qwen2_5_vl", "out": str(tmp_path / "config.json")})
    text = json.loads((tmp_path / "config.json").read_text())["text_config"]
    head = text["hidden_size"] // text["num_attention_heads"]
    assert sum(text["rope_parameters"]["mrope_section"]) == head // 2
    assert found["parameters"] < 1_000_000


def test_sizes_may_be_lengths_and_multiples_and_runs_of_one_value() -> None:
    """An override's shape follows the probe's batch and length, and `run` sets some entries of each row."""
    specs = {
        "codes": {"shape": ["4*batch", "length"], "dtype": "int64", "high": 3},
        "mask": {"shape": ["batch", "length"], "dtype": "int64", "high": 1, "run": [1, 4, 7]},
        "grid": {"values": [2, 3], "batch": True, "dtype": "int64"},
    }
    done = subprocess.run(
        [sys.executable, "-c", DRAW], input=json.dumps(specs), capture_output=True, text=True, check=True, timeout=120
    )
    made = json.loads(done.stdout)
    assert [len(made["codes"]), len(made["codes"][0])] == [8, 9]
    assert made["mask"] == [[0, 7, 7, 7, 7, 0, 0, 0, 0]] * 2
    assert made["grid"] == [[2, 3], [2, 3]]


BUILD = """
import json
from portwright.reference.build import build, saved_config
config = json.loads(input())
model = build("diffusers:MultiAdapter", config, 0)
first, second = ([p.flatten()[:3].tolist() for p in a.parameters()] for a in model.adapters)
print(json.dumps([first == second, len(first) == len(second), saved_config(model, config) == config]))
"""


def test_a_constructor_that_takes_modules_gets_them_from_their_descriptions() -> None:
    """Each is a model with weights of its own, and the config that is saved keeps the descriptions."""
    adapter = {"in_channels": 3, "channels": [4, 6], "num_res_blocks": 1, "downscale_factor": 4}
    described = {"module": "diffusers:T2IAdapter", "config": adapter}
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        input=json.dumps({"kwargs": {"adapters": [described, described]}}),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout) == [False, True, True]


def test_only_a_whole_sweep_or_a_report_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying one model leaves the page of all models as it is; a report from results writes it."""
    monkeypatch.chdir(tmp_path)
    done = {"library": "transformers", "name": "bert", "kind": "", "status": "ported", "seconds": 1.0, "holes": []}
    Path("r.jsonl").write_text(json.dumps({**done, "problems": [], "notes": []}) + "\n")
    assert main(["atlas", "bert", "--results", "r.jsonl"]) == 0
    assert not Path("docs").exists()
    assert main(["atlas", "--report", "--results", "r.jsonl"]) == 0
    assert "transformers" in Path("docs/atlas.md").read_text()
