"""Tensors of a capture, each kept once however often it is met (one module's output is the next one's input)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file


def to_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Copy a tensor out of torch: 16-bit floats and float64 become float32, what numpy lacks is never kept."""
    tensor = tensor.detach()
    if tensor.dtype in (torch.bfloat16, torch.float16, torch.float64):
        tensor = tensor.float()
    elif tensor.dtype == torch.complex128:
        tensor = tensor.to(torch.complex64)
    return np.array(tensor.resolve_conj().resolve_neg().cpu().numpy(), order="C")


class TensorStore:
    """Content-addressed tensors, written as one safetensors file."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray[Any, Any]] = {}
        self._ids: dict[bytes, str] = {}

    def add(self, tensor: torch.Tensor) -> str:
        """Keep a tensor and give its id, such as "t0012"; an equal one has the same id."""
        array = to_numpy(tensor)
        digest = hashlib.blake2b(f"{array.dtype}{array.shape}".encode() + array.tobytes()).digest()
        if digest not in self._ids:
            self._ids[digest] = f"t{len(self._ids):04d}"
            self.tensors[self._ids[digest]] = array
        return self._ids[digest]

    def load(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.tensors[key].copy())

    def write(self, path: Path) -> None:
        write_tensors(path, self.tensors)


def write_tensors(path: Path, tensors: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file under a temporary name, then publish it."""
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, str(partial), metadata)
    partial.replace(path)
