import torch
import torch.nn.functional as F
from torch import nn

FUNCTIONS = {"relu": F.relu, "silu": F.silu}


class Block(nn.Module):
    def __init__(self, width, settings):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.function = FUNCTIONS[settings["function"]]
        self.gain = settings.get("gain", 1.0)

    def forward(self, x):
        return self.function(self.linear(x)) * self.gain


class Items(nn.Module):
    """A function that an item of merged settings chooses, a type by its name, and the order of sorted values."""

    def __init__(self, width=8, function="relu", dtype="float32", descending=False, options=None):
        super().__init__()
        self.block = Block(width, {"function": function, **(options or {})})
        self.dtype = getattr(torch, dtype)
        self.descending = descending

    def forward(self, x):
        x = self.block(x)
        return x.to(self.dtype), x.sort(dim=-1, descending=self.descending).values
