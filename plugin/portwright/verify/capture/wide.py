"""A second reference in another dtype, run beside the first to measure how much honest arithmetic differs.

For float32 that is the same model in float64. Reference code that names float32 itself (`x.float()`,
`dtype=torch.float32`) would round in the middle of such a run, so those requests are answered in float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


_SWAP = {torch.float32: torch.float64, torch.complex64: torch.complex128}


class _Float64(TorchFunctionMode):  # type: ignore[misc]  # torch is not followed
    """Answers every request for float32 in float64, and for complex64 in complex128."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        swapped = [_SWAP.get(a, a) if isinstance(a, torch.dtype) else a for a in args]
        named = {k: _SWAP.get(v, v) if isinstance(v, torch.dtype) else v for k, v in (kwargs or {}).items()}
        return func(*swapped, **named)


@contextmanager
def float64() -> Iterator[None]:
    """Run the block with float64 in the place of float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Float64():
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def native() -> Iterator[None]:
    """Run the block as it is."""
    yield


class Shadow:
    """The reference at another dtype: float64, or the port's own 16-bit dtype."""

    def __init__(self, model: torch.nn.Module, dtype: str, rebuild: Callable[[], torch.nn.Module]) -> None:
        self.dtype = torch.float64 if dtype == "float32" else DTYPES[dtype]
        self.run = float64 if dtype == "float32" else native
        if dtype == "float32":
            self.model = _in_float64(model, rebuild)
        else:
            self.model = copy.deepcopy(model).to(self.dtype)

    def cast(self, tensor: torch.Tensor) -> torch.Tensor:
        """Hand a tensor to this model: floats in its dtype, the rest as it is."""
        if tensor.is_complex():
            return tensor.to(torch.complex128) if self.dtype == torch.float64 else tensor
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor.clone()


def _in_float64(model: torch.nn.Module, rebuild: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """The model in float64 with the same weights; tables that its constructor computes are computed in float64."""
    try:
        with float64():
            wide = rebuild().double()
            wide.load_state_dict(model.state_dict())
            return wide.eval().requires_grad_(False)
    except Exception:  # a constructor that cannot: its tables stay rounded to float32, which only tightens the noise
        return copy.deepcopy(model).double()
