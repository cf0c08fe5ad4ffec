"""Flags that only show in what is derived from them: a number handed on, a setting that MLX's layer has not."""

import math

import torch
from torch import nn


class Scaled(nn.Module):
    """A linear layer whose result is scaled by a number that its owner computes from a flag."""

    def __init__(self, width: int, scale: float = 1.0):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.scale


class DerivedFlag(nn.Module):
    """Nothing here asks for the flags themselves."""

    def __init__(self, width: int = 8, scaled: bool = False, padding_mode: str = "zeros"):
        super().__init__()
        scale = math.sqrt(width) if scaled else 1.0
        self.inner = Scaled(width, scale=scale)
        self.conv = nn.Conv1d(width, width, 3, padding=1, padding_mode=padding_mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.inner(x).transpose(1, 2))
