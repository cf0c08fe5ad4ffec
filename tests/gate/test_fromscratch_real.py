"""`portwright verify --from-scratch` on a real port: torch and MLX measure again what the evidence claims."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from portrepo import PortRepo

pytestmark = pytest.mark.slow  # three builds with torch and MLX: half a minute each on an idle machine
CHECK = "model/outputs/observed"
PORT = 'schema = 1\nname = "tiny"\nsource = "file:weights"\nskill = "bert"\n'
WEIGHTS = """
import sys, torch
from transformers import BertConfig, BertModel
torch.manual_seed(0)
sizes = dict(vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
BertModel(BertConfig(**sizes, max_position_embeddings=32)).save_pretrained(sys.argv[1])
"""


def run(folder: Path, *words: str) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    return done.returncode, done.stdout + done.stderr


def test_from_scratch_holds_for_honest_evidence_and_catches_the_forger(tmp_path: Path) -> None:
    """Honest evidence holds; a figure that was forged and sealed again passes the gate and is caught by name."""
    (tmp_path / "repo").mkdir()
    repo = PortRepo(tmp_path / "repo")
    code, said = run(repo.path, "-c", WEIGHTS, "weights")
    assert code == 0, said
    repo.write("port.toml", PORT)
    repo.write("dodo.py", "from portwright.tasks import *\n")
    repo.write(".gitignore", ".portwright/\nported/*.safetensors\n__pycache__/\n")
    code, said = run(repo.path, "-m", "doit", "port")
    assert code == 0, said
    repo.git("add", "-A")
    assert not repo.gate().blocked

    code, said = run(repo.path, "-m", "portwright", "verify", "--from-scratch")
    assert code == 0, said
    assert "measured anew: the committed evidence holds\n" in said

    repo.edit(
        "port.evidence.json", lambda body: body["runs"]["cpu"]["checks"][CHECK].update(value="1.0e-08"), reseal=True
    )
    repo.git("add", "-A")
    assert not repo.gate().blocked
    code, said = run(repo.path, "-m", "portwright", "verify", "--from-scratch")
    assert code == 1, said
    assert f"port.evidence.json: cpu: {CHECK}: its value is 1.0e-08 in the evidence and " in said
