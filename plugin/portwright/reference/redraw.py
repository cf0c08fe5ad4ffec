"""Redraw a model's weights so that no parameter can be wrong unseen.

Default initialisation hides bugs: biases are zero, norm weights one, some last layers all zero. Here every floating
point parameter and persistent buffer becomes non-constant, scaled so that activations stay of order one.
"""

from __future__ import annotations

import zlib

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

SPREAD = 0.1  # around 1 for what was constant one, around 0 for what was constant zero
SMALL = 0.05  # an initial spread below this says "initialised close to nothing"


def redraw(model: nn.Module, seed: int) -> None:
    """Redraw every float parameter and persistent buffer in place; each draw depends on `seed` and its name only."""
    with torch.no_grad():
        for prefix, module in model.named_modules():
            for name, parameter in module.named_parameters(prefix, recurse=False):
                if parameter.is_floating_point():
                    parameter.copy_(drawn_parameter(module, parameter, generator(seed, name)))
            for short, buffer in module.named_buffers("", recurse=False):
                if buffer.is_floating_point() and short not in module._non_persistent_buffers_set:
                    name = f"{prefix}.{short}" if prefix else short
                    buffer.copy_(drawn_buffer(module, short, buffer, generator(seed, name)))


def generator(seed: int, name: str) -> torch.Generator:
    """A generator of its own for each name, so that the draw does not depend on the order of parameters."""
    return torch.Generator().manual_seed((seed << 32) + zlib.crc32(name.encode()))


def normal(like: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=g).to(like)


def drawn_parameter(module: nn.Module, value: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """The new value of one parameter, chosen by its module's torch base class and by what it was initialised to."""
    noise = normal(value, g)
    if value.numel() == 0:
        return value
    if value.ndim >= 2 and isinstance(module, (nn.Linear, _ConvNd, nn.Embedding, nn.Bilinear)):
        return noise * fan_scale(module, value)
    low, high = float(value.min()), float(value.max())
    if low == high:
        if abs(low) >= 0.1:
            return low * (1 + SPREAD * noise)
        return SPREAD * noise if low == 0 else 0.5 + SPREAD * noise
    if value.ndim < 2:
        return (noise * SPREAD) if abs(low) < SMALL and abs(high) < SMALL else value * (1 + SPREAD * noise)
    if float(value.std()) < SMALL:
        return noise * value.shape[-1] ** -0.5
    return value * (1 + SPREAD * noise)


def fan_scale(module: nn.Module, weight: torch.Tensor) -> float:
    """The standard deviation that keeps a unit input at unit scale."""
    if isinstance(module, nn.Embedding):
        return 1.0
    if isinstance(module, _ConvTransposeNd):
        return float((weight.shape[0] * weight[0, 0].numel()) ** -0.5)
    return float(weight[0].numel() ** -0.5)


def drawn_buffer(module: nn.Module, name: str, value: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """The new value of a persistent buffer; masks (two values at most, or infinities) keep theirs."""
    noise = normal(value, g)
    if isinstance(module, _NormBase):
        return SPREAD * noise if name == "running_mean" else 1 + SPREAD * noise.abs()
    if value.numel() == 0 or not bool(torch.isfinite(value).all()):
        return value
    distinct = value.unique().numel()
    if distinct == 2 and value.numel() > 2:
        return value
    if distinct == 1:
        return value * (1 + SPREAD * noise) if float(value.flatten()[0]) != 0 else SPREAD * noise
    return value * (1 + 0.02 * noise)
