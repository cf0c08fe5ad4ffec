"""A GGUF file becomes a port for mlx-lm by real `doit port`, its quantization kept, and every check passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ggufs import METADATA, llama, write
from portwright.cli import main
from portwright.spec import load_port
from vocabularies import trained

PORT = """schema = 1
name = "small"
source = "file:weights"
skill = "llama"
runtime = "mlx-lm"
[components.model]
prompts = ["Привет 12", "<|im_start|>user\\nhi"]
[quantize]
source = true
budget = { kl = 1e-6, top1 = 1.0 }
"""


@pytest.fixture(scope="module")
def ported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished port, its weights those of a small Llama in 4- and 8-bit blocks."""
    folder = tmp_path_factory.mktemp("port")
    vocabulary = trained("smollm")
    stored, _ = llama("Q4_1", len(vocabulary["tokenizer.ggml.tokens"]))
    (folder / "weights").mkdir()
    write(folder / "weights" / "m.Q4_1.gguf", stored, {**METADATA, **vocabulary})
    (folder / "port.toml").write_text(PORT)
    (folder / "dodo.py").write_text("from portwright.tasks import *\n")
    subprocess.run(["git", "init", "-q", folder], check=True)
    env = {**os.environ, "PORTWRIGHT_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "doit", "port", "--json"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def evidence(folder: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((folder / "port.evidence.json").read_text())["runs"]["cpu"]
    return run["checks"]


def test_the_numbers_are_the_files(ported: Path) -> None:
    """No weight differs in a bit from what transformers itself reads from the file."""
    checks = evidence(ported)

    assert checks["model/quantization/lossless"]["value"] == "0.0e+00"
    assert checks["model/bijection/elements"]["value"] == "0.0e+00"
    golden = json.loads((ported / ".portwright/golden/model/golden.json").read_text())
    assert golden["weights"] == "library"


def test_the_texts_are_the_references(ported: Path) -> None:
    """Both prompts are continued by 128 tokens, and none differs."""
    assert evidence(ported)["model/greedy/tokens"]["value"] == "0.0e+00"
    golden = json.loads((ported / ".portwright/golden/model/golden.json").read_text())["greedy"]
    assert (len(golden["prompts"]), golden["tokens"]) == (2, 128)


def test_layers_of_other_bits_are_listed(ported: Path) -> None:
    """config.json says 4 bits in general and 8 for the embedding, as mlx-lm writes it."""
    body = json.loads((ported / "ported/config.json").read_text())["quantization"]

    assert (body["bits"], body["group_size"]) == (4, 32)
    assert body["model.embed_tokens"]["bits"] == 8


def test_mlx_lm_loads_it(ported: Path) -> None:
    """mlx-lm's own loader takes weights, code and tokenizer from the folder."""
    command = [sys.executable, "-m", "mlx_lm", "generate", "--model", str(ported / "ported"), "--trust-remote-code"]
    words = ["--prompt", "hi", "--max-tokens", "5", "--ignore-chat-template"]

    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    assert "Generation:" in done.stdout


@pytest.mark.parametrize("names", [["m.gguf"], ["a.Q4_1.gguf", "b.Q8_0.gguf"]])
def test_init_and_plan_know_a_gguf_file(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`portwright init` names the Skill that reads the file, and which file where there are several; plan counts."""
    (tmp_path / "weights").mkdir()
    for name in names:
        write(tmp_path / "weights" / name, llama()[0], METADATA)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORTWRIGHT_CACHE", str(tmp_path / "cache"))

    assert main(["init", "file:weights", "--name", "small"]) == 0
    with (tmp_path / "port.toml").open("a") as stream:
        stream.write("[quantize]\nsource = true\n")
    assert main(["plan"]) == 0

    spec = load_port(tmp_path / "port.toml")
    assert (spec.skill, spec.runtime) == ("llama", "mlx-lm")
    assert [component.file for component in spec.components] == [names[0] if len(names) > 1 else ""]
    parameters = sum(array.size for array, _ in llama()[0].values())
    assert f"{parameters:,} parameters" in capsys.readouterr().out
