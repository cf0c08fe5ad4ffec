"""Write an encoder's weights in a second layout: the same bytes under other names, fused, transposed, in two shards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

RULES = Path(__file__).with_name("rules-fused.toml")
PREFIX = "0.auto_model."


def write_second_layout(tensors: Mapping[str, np.ndarray[Any, Any]], folder: Path) -> None:
    """Write `tensors`, keyed as the library does, as two shards in the layout that `RULES` reads."""
    made: dict[str, np.ndarray[Any, Any]] = {}
    for key, array in tensors.items():
        if ".self.query." in key:
            parts = [tensors[key.replace(".query.", f".{name}.")] for name in ("query", "key", "value")]
            made[PREFIX + key.replace(".query.", ".qkv.")] = np.concatenate(parts)
        elif ".self.key." not in key and ".self.value." not in key:
            made[PREFIX + key] = array.T if key.endswith("position_embeddings.weight") else array
    shards: list[dict[str, np.ndarray[Any, Any]]] = [{}, {}]
    for number, key in enumerate(sorted(made)):
        shards[2 * number // len(made)][key] = np.ascontiguousarray(made[key])
    folder.mkdir(parents=True, exist_ok=True)
    for number, shard in enumerate(shards):
        save_file(shard, folder / f"model-0000{number + 1}-of-00002.safetensors", {"format": "pt"})
