"""A setting that one of two fields gives, handed on by a layer between them and the layer that it matters to."""

import torch
from torch import nn


class Smooth(nn.Module):
    """A convolution along the sequence."""

    def __init__(self, width: int, padding_mode: str = "zeros"):
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=1, padding_mode=padding_mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Part(nn.Module):
    """Hands its setting on."""

    def __init__(self, width: int, padding_mode: str = "zeros"):
        super().__init__()
        self.smooth = Smooth(width, padding_mode=padding_mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.smooth(x))


class HandedOn(nn.Module):
    """Two parts, each with a field of its own."""

    def __init__(self, width: int = 8, first_mode: str = "zeros", second_mode: str = "zeros"):
        super().__init__()
        self.first = Part(width, padding_mode=first_mode)
        self.second = Part(width, padding_mode=second_mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x.transpose(1, 2))).transpose(1, 2)
