"""Ports for mlx-lm: their conventions, their caches, and the checks that a wrong cache must fail."""

from __future__ import annotations

import ast
import json
import shutil
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from portwright.errors import ExitCode, PortError
from portwright.runtimes import left_out
from portwright.tryport import Options, run_try
from portwright.verify.blame import failing
from portwright.workers import run_worker

REFERENCE = "transformers:MistralForCausalLM"
CONFIG = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 40,
    "sliding_window": 7,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
}


DECODERS = tomllib.loads((Path(__file__).parent / "mlx_lm.toml").read_text())


def generated(reference: str, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Observe and generate for mlx-lm; `folder`/port holds the files."""
    job: dict[str, Any] = {"reference": reference, "configs": [config], "seed": 0, "probes": None, "overrides": {}}
    run_worker("portwright.codegen.observe", {**job, "runtime": "mlx-lm", "out": str(folder / "trace")})
    job = {"trace": str(folder / "trace"), "out": str(folder / "port"), "runtime": "mlx-lm", "licence": None}
    return run_worker("portwright.codegen.generate", job, mlx=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A sliding-window decoder with tied embeddings: its port with weights, and its golden."""
    folder = tmp_path_factory.mktemp("mlx-lm")
    result = generated(REFERENCE, CONFIG, folder)
    port = folder / "port"
    job: dict[str, Any] = {"reference": REFERENCE, "config": str(port / "config.json"), "mode": "redraw", "seed": 0}
    job |= {"overrides": left_out("mlx-lm"), "probes": None, "dtypes": ["float32"], "out": str(folder / "golden")}
    run_worker("portwright.verify.capture", job)
    job = {"reference": str(folder / "golden" / "reference.safetensors"), "portmap": str(port / "portmap.json")}
    run_worker("portwright.verify.assemble", {**job, "out": str(port / "model.safetensors")})
    return SimpleNamespace(folder=folder, port=port, result=result, text=(port / "model.py").read_text())


def measured(made: SimpleNamespace, port: Path, checks: list[str]) -> dict[str, Any]:
    out = port / "measurements.json"
    job = {"port": str(port), "golden": str(made.folder / "golden"), "out": str(out), "checks": checks}
    run_worker("portwright.verify.measure", job, mlx=True)
    body: dict[str, Any] = json.loads(out.read_text())
    return body


def test_a_port_keeps_the_conventions_of_mlx_lm(made: SimpleNamespace) -> None:
    """Its arguments, its layers, the rotating caches of its window, and mlx and mlx_lm as its only imports."""
    assert made.result["holes"] == []
    assert json.loads((made.port / "config.json").read_text())["model_file"] == "model.py"
    tree = ast.parse(made.text)
    root = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Model")
    methods = {n.name: n for n in root.body if isinstance(n, ast.FunctionDef)}
    assert [a.arg for a in methods["__call__"].args.args] == ["self", "inputs", "cache", "input_embeddings"]
    assert {"layers", "make_cache", "sanitize"} <= set(methods)
    assert "RotatingKVCache(max_size=window)" in made.text and "embed_tokens.as_linear" in made.text
    assert (
        "mx.fast.rope" in made.text
        and "position_ids" not in made.text
        and "layer_idx" not in made.text.replace("for layer_idx", "")
    )
    imported = {n.module.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert imported <= {"mlx_lm", "dataclasses"}


def test_token_by_token_gives_what_the_reference_gives_at_once(made: SimpleNamespace) -> None:
    """Beyond the window, in two pieces and in a padded batch too; and the port's modules are the reference's."""
    body = measured(made, made.port, ["cache", "outputs", "long", "isolate", "flow"])
    assert failing(body) == []
    assert {"cache/decode", "cache/pieces", "cache/greedy", "cache/padded", "long/positions"} <= set(body["checks"])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("offset = 0 if cache is None else cache.offset", "offset = 0"),
        ("RotatingKVCache(max_size=window)", "RotatingKVCache(max_size=window - 2)"),
    ],
)
def test_a_wrong_cache_is_found(made: SimpleNamespace, tmp_path: Path, right: str, wrong: str) -> None:
    """Positions that forget the past, and a cache that is too short, fail the checks."""
    assert right in made.text
    port = tmp_path / "port"
    shutil.copytree(made.port, port)
    (port / "model.py").write_text(made.text.replace(right, wrong))
    assert any(check.startswith("cache/") for check in failing(measured(made, port, ["cache"])))


def test_a_model_without_a_cache_is_refused_by_name(tmp_path: Path) -> None:
    """What mlx-lm cannot drive is a usage error that says so, not a port."""
    with pytest.raises(PortError) as error:
        generated("transformers:BertModel", {"num_hidden_layers": 1}, tmp_path)
    assert error.value.code == ExitCode.USAGE
    assert "BertModel" in error.value.problems[0].where


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DECODERS))
def test_decoders_port_for_mlx_lm(name: str, tmp_path: Path) -> None:
    """Zero holes, and every check within tolerance, those through the caches too."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(DECODERS[name]["config"]))
    result = run_try(DECODERS[name]["reference"], config, options=Options(runtime="mlx-lm"))
    assert result.status == "ported", result.to_json()


@pytest.mark.parametrize("reference", ["transformers:Mamba2ForCausalLM", "transformers:LlamaModel"])
def test_what_mlx_lm_cannot_drive_is_named(reference: str, tmp_path: Path) -> None:
    """A recurrent state and a model without logits are refused, not ported wrongly."""
    config = {
        "hidden_size": 32,
        "num_heads": 8,
        "head_dim": 8,
        "num_hidden_layers": 1,
        "state_size": 8,
        "vocab_size": 61,
    }
    with pytest.raises(PortError) as error:
        generated(reference, {**config, "n_groups": 2, "num_attention_heads": 4, "num_key_value_heads": 2}, tmp_path)
    assert error.value.code == ExitCode.USAGE and error.value.problems[0].where == reference
