"""What the reference loaded: every parameter and persistent buffer with shape, dtype and the digest of its bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from portwright.verify.capture.wide import DTYPES


def round_to(model: torch.nn.Module, dtype: str) -> None:
    """Round the float weights to the port's dtype in place, so that port and reference hold the same numbers."""
    if dtype == "float32":
        return
    with torch.no_grad():
        for tensor in model.state_dict(keep_vars=True).values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(DTYPES[dtype]).to(tensor.dtype))


def inventory(model: torch.nn.Module, dtype: str, tied: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Describe each tensor of the state dict at the port's dtype; integers are digested as int64."""
    return {
        name: {
            "shape": list(tensor.shape),
            "dtype": dtype if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch."),
            "sha256": digest(tensor, dtype),
            **({"tied": tied[name]} if name in tied else {}),
        }
        for name, tensor in model.state_dict().items()
    }


def digest(tensor: torch.Tensor, dtype: str) -> str:
    """Digest a tensor's elements in row-major order, floats in `dtype`, booleans as bytes, integers as int64."""
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.to(DTYPES[dtype])
    elif tensor.dtype != torch.bool and not tensor.is_complex():
        tensor = tensor.to(torch.int64)
    flat = tensor.contiguous().reshape(-1)
    return hashlib.sha256(memoryview(flat.view(torch.uint8).numpy())).hexdigest()
