"""What the reference loaded: every parameter and persistent buffer with shape, dtype and digests of its bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from portwright.verify.capture.wide import DTYPES


def inventory(model: torch.nn.Module, tied: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Describe each tensor of the state dict; floats are digested in each dtype that a port may be stored in."""
    found: dict[str, dict[str, Any]] = {}
    for name, tensor in model.state_dict().items():
        floating = tensor.is_floating_point()
        found[name] = {
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "sha256": {d: digest(tensor, d) for d in DTYPES} if floating else {"exact": digest(tensor, "float32")},
        }
        if name in tied:
            found[name]["tied"] = tied[name]
    return found


def held_exactly(model: torch.nn.Module) -> list[str]:
    """The dtypes that hold every float of the state dict without rounding."""
    floats = [t for t in model.state_dict().values() if t.is_floating_point()]
    return [name for name, dtype in DTYPES.items() if all(torch.equal(t.to(dtype).to(t.dtype), t) for t in floats)]


def digest(tensor: torch.Tensor, dtype: str) -> str:
    """Digest a tensor's elements in row-major order, floats in `dtype`, booleans as bytes, integers as int64."""
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.to(DTYPES[dtype])
    elif tensor.dtype != torch.bool and not tensor.is_complex():
        tensor = tensor.to(torch.int64)
    flat = tensor.contiguous().reshape(-1)
    return hashlib.sha256(memoryview(flat.view(torch.uint8).numpy())).hexdigest()
