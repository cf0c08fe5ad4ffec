"""Give the reference its weights: through its own library where that takes them, else through bound rules."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from portwright.errors import PortError, Problem
from portwright.reference.build import BOOKKEEPING, build, library_config, load_class
from portwright.verify import circuit
from portwright.verify.gguffile import GgufTensors


class _Gguf:
    """A GGUF file as a safetensors handle is used: tensors by key, dequantized when they are asked for."""

    def __init__(self, file: Path) -> None:
        self._tensors = GgufTensors(file)

    def keys(self) -> list[str]:
        return list(self._tensors)

    def get_tensor(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self._tensors[key])


def open_all(files: Sequence[Path]) -> dict[str, Any]:
    """Open safetensors and GGUF files (never pickle) and give their handles by tensor key."""
    wrong = [file for file in files if file.suffix not in (".safetensors", ".gguf")]
    if wrong:
        hint = "only .safetensors and .gguf files are read; pickled weights can run code"
        raise PortError(Problem(str(path), "is not a safetensors file", hint) for path in wrong)
    handles: dict[str, Any] = {}
    for file in files:
        if file.suffix == ".gguf":
            opened = _Gguf(file)
            handles |= dict.fromkeys(opened.keys(), opened)
            continue
        handle = safe_open(str(file), "pt")
        handles |= dict.fromkeys(handle.keys(), handle)  # type: ignore[no-untyped-call]
    return handles


def from_library(reference: str, config: dict[str, Any], files: Sequence[Path]) -> torch.nn.Module | None:
    """Load through the library's own code, so that its own conversion applies; None when keys are left missing."""
    cls = load_class(reference)
    if len(files) == 1 and files[0].suffix == ".gguf":
        return _from_gguf(reference, config, files[0])
    if not hasattr(cls, "from_pretrained"):
        return _plain(reference, config, files)
    with tempfile.TemporaryDirectory(prefix="portwright-") as folder:
        _stage(Path(folder), config, files, transformers=hasattr(cls, "config_class"))
        try:
            model, info = _from_pretrained(cls, folder, config)
        except (RuntimeError, ValueError, KeyError, OSError):
            return None  # the library refuses the file as it is; rules may still read it
    if info.get("missing_keys") or info.get("mismatched_keys") or info.get("error_msgs"):
        return None
    return model.float().eval().requires_grad_(False)


def _from_gguf(reference: str, config: dict[str, Any], file: Path) -> torch.nn.Module | None:
    """Load a GGUF file by transformers' own reading of it: its names, and its own undoing of llama.cpp's order of rows.

    None where transformers does not know the file's architecture, or leaves parameters missing.
    """
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    model = build(reference, config, seed=0)
    if not hasattr(model, "config"):
        return None
    try:
        found = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model, torch_dtype=torch.float32)
    except (ValueError, NotImplementedError, KeyError, ImportError):
        return None
    loaded = model.load_state_dict(found["tensors"], strict=False)
    tied = tied_names(model)
    if [key for key in loaded.missing_keys if key not in tied] or loaded.unexpected_keys:
        return None
    return model.float().eval().requires_grad_(False)


def _from_pretrained(cls: Any, folder: str, config: dict[str, Any]) -> tuple[torch.nn.Module, dict[str, Any]]:
    common = {"output_loading_info": True, "use_safetensors": True, "local_files_only": True}
    if hasattr(cls, "config_class"):
        settings = library_config(cls, config)
        model, info = cls.from_pretrained(folder, config=settings, dtype=torch.float32, **common)
    else:
        model, info = cls.from_pretrained(folder, torch_dtype=torch.float32, **common)
    return model, info


def _stage(folder: Path, config: dict[str, Any], files: Sequence[Path], *, transformers: bool) -> None:
    """Lay the weights out as the library expects them, by links: its own file names, an index, nothing else to read."""
    stem = "model" if transformers else "diffusion_pytorch_model"
    kept = config if transformers else {k: v for k, v in config.items() if k == "_class_name" or k not in BOOKKEEPING}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    if len(files) == 1:
        (folder / f"{stem}.safetensors").symlink_to(files[0].resolve())
        return
    weight_map: dict[str, str] = {}
    size = 0
    for number, file in enumerate(files, 1):
        name = f"{stem}-{number:05d}-of-{len(files):05d}.safetensors"
        (folder / name).symlink_to(file.resolve())
        weight_map |= dict.fromkeys(open_all([file]), name)
        size += file.stat().st_size
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _plain(reference: str, config: dict[str, Any], files: Sequence[Path]) -> torch.nn.Module | None:
    """Load a class that knows no files: the keys must be its own."""
    model = build(reference, config, seed=0)
    handles = open_all(files)
    wanted = model.state_dict()
    if set(wanted) - set(handles):
        return None
    state = {key: handles[key].get_tensor(key) for key in wanted}
    if any(state[key].shape != value.shape for key, value in wanted.items()):
        return None
    model.load_state_dict(state)
    return model


def from_moves(reference: str, config: dict[str, Any], files: Sequence[Path], moves: Path) -> torch.nn.Module:
    """Load through bound rules (source keys to the reference's names); raises PortError when they leave any unset."""
    model = build(reference, config, seed=0)
    handles = open_all(files)
    body = json.loads(moves.read_text(encoding="utf-8"))
    state: dict[str, torch.Tensor] = {}
    for move in body["moves"]:
        sources = [handles[key].get_tensor(key).float().numpy() for key in move["sources"]]
        for key, array in circuit.run_move(move, sources).items():
            state[key] = torch.from_numpy(array.copy())
    loaded = model.load_state_dict(state, strict=False)
    tied = tied_names(model)
    missing = [key for key in loaded.missing_keys if key not in tied or tied[key] not in state]
    if missing or loaded.unexpected_keys:
        hint = "name them in the Skill's rules"
        raise PortError(
            [Problem(key, "no rule gives this parameter of the reference", hint) for key in missing]
            + [
                Problem(key, "a rule gives it, but the reference has no such parameter", hint)
                for key in loaded.unexpected_keys
            ]
        )
    return model


def tied_names(model: torch.nn.Module) -> dict[str, str]:
    """Names that share storage with an earlier name: `{later: first}`."""
    first: dict[tuple[int, tuple[int, ...]], str] = {}
    tied = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        owner = first.setdefault((tensor.data_ptr(), tuple(tensor.shape)), name)
        if owner != name and tensor.numel():
            tied[name] = owner
    return tied
