"""Layers that give a tuple of one, taken apart by whoever calls them: in a loop, by unpacking, or as a whole."""

import torch
from torch import nn


class Layer(nn.Module):
    """Gives a tuple, as layers do that may add more to it."""

    def __init__(self, width: int):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor):
        outputs = (self.linear(x),)
        return outputs


class SingleResults(nn.Module):
    """Calls its layers in each of the ways."""

    def __init__(self, width: int = 8, depth: int = 2):
        super().__init__()
        self.layers = nn.ModuleList([Layer(width) for _ in range(depth)])
        self.last = Layer(width)

    def finish(self, x: torch.Tensor):
        return self.last(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            outputs = layer(x)
            x = torch.relu(outputs[0])
        collected = [layer(x) for layer in self.layers]
        (y,) = self.last(x)
        finished = [self.finish(y)]
        return finished[0][0] + collected[0][0]
