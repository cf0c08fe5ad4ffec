"""List what the atlas sweeps: every base model of transformers and every `ModelMixin` of diffusers.

The worker's job: {"libraries": [...]}; its result: {"models": [Model as dict], "versions": {...}}.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from portwright.atlas.shrink import quiet
from portwright.workers import Emit, worker_main

LIBRARIES = ("transformers", "diffusers")
KINDS = {"input_ids": "text", "pixel_values": "vision", "input_values": "audio", "input_features": "audio"}


@dataclass(frozen=True)
class Model:
    """One entry of the atlas."""

    library: str
    name: str  # a model type of transformers, a class of diffusers
    reference: str  # what `portwright try` takes
    kind: str


def transformers_models() -> Iterator[Model]:
    """One entry for each model type; its kind is what its main input is."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    for name, class_name in MODEL_MAPPING_NAMES.items():
        title = class_name if isinstance(class_name, str) else class_name[0]
        yield Model("transformers", name, name, kind_of(getattr(transformers, title, None)))


def kind_of(cls: Any) -> str:
    """What a transformers class takes mainly; "several" where it takes more than one modality."""
    try:
        main = getattr(cls, "main_input_name", None)
        modalities = getattr(cls, "input_modalities", None) or ()
    except ImportError:  # it stands in for a class whose optional package is missing
        return "other"
    if isinstance(modalities, (list, tuple)) and len(modalities) > 1:
        return "several"
    return KINDS.get(str(main[0] if isinstance(main, list) else main), "other")


def diffusers_models() -> Iterator[Model]:
    """One entry for each public model class; its kind is the folder that it lies in."""
    import diffusers
    from diffusers.models.modeling_utils import ModelMixin

    for name in sorted(dir(diffusers)):
        found = getattr(diffusers, name, None)
        if isinstance(found, type) and issubclass(found, ModelMixin) and found is not ModelMixin:
            folder = [part for part in found.__module__.split(".")[2:] if not part.startswith("modeling")]
            folder = folder if found.__module__.startswith("diffusers.models.") and len(folder) > 1 else ["other"]
            yield Model("diffusers", name, f"diffusers:{name}", folder[0])


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """List the models of the libraries asked for."""
    every = {"transformers": transformers_models, "diffusers": diffusers_models}
    with quiet():
        models = [asdict(model) for library in job["libraries"] for model in every[library]()]
    packages = ("transformers", "diffusers", "torch", "mlx", "portwright")
    return {"models": models, "versions": {name: importlib.metadata.version(name) for name in packages}}


if __name__ == "__main__":
    worker_main(run)
