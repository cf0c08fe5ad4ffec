"""One class and one function that work on images here and on tokens there: two texts of each."""

import torch
from torch import nn


def shift(x, amount):
    """Scales by the spread over the second axis, which is channels here and positions there."""
    spread = x.amax(dim=1, keepdim=True) - x.amin(dim=1, keepdim=True)
    return x / (spread + amount)


class Gate(nn.Module):
    def __init__(self, width, axis, scaled=False):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.axis = axis
        self.scaled = scaled

    def forward(self, x):
        if self.axis == 1:
            weight = self.weight.reshape(-1, *[1] * (x.dim() - 2))
        else:
            weight = self.weight
        x = x * torch.sigmoid(weight)
        if self.scaled:
            x = x * 2.0
        return x


class Block(nn.Module):
    """Its flag is an ordinary attribute: one text serves both values."""

    def __init__(self, width, scaled):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.gate = Gate(width, axis=1, scaled=scaled)

    def forward(self, x):
        return x + self.gate(self.conv(shift(x, 2.0)))


class Mixed(nn.Module):
    def __init__(self, channels, width, classes):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 2, stride=2)
        self.blocks = nn.ModuleList([Block(width, False), Block(width, True)])
        self.token_gate = Gate(width, axis=2)
        self.head = nn.Linear(width, classes)

    def forward(self, pixel_values):
        x = self.stem(pixel_values)
        for block in self.blocks:
            x = block(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = self.token_gate(shift(tokens, 3.0))
        return self.head(tokens)
