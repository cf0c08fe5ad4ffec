"""Sources made on the spot: a few bytes of safetensors beside a config.json, as models have them."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any


def safetensors(shapes: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> bytes:
    """Return a valid safetensors file of float32 zeros."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for key, shape in shapes.items():
        size = 4 * prod(shape)
        header[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(at)


BERT = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 4}


def component(
    folder: Path,
    config: dict[str, Any] | None = None,
    weights: str = "model.safetensors",
    key: str = "embeddings.weight",
) -> Path:
    """Write one network: config.json and a weight of three by four numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    (folder / weights).write_bytes(safetensors({key: (3, 4)}))
    return folder


def pipeline(folder: Path) -> Path:
    """Write a source in diffusers' form: several components, and folders without weights."""
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    component(folder / "text_encoder", {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"})
    component(folder / "unet", {"_class_name": "UNet2DConditionModel"}, "diffusion_pytorch_model.safetensors")
    component(folder / "vae", {"_class_name": "AutoencoderKL"}, "diffusion_pytorch_model.safetensors")
    for name in ("scheduler", "tokenizer"):
        (folder / name).mkdir()
        (folder / name / f"{name}_config.json").write_text("{}")
    return folder
