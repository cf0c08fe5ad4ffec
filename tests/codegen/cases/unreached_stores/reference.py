import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, dim, gain=None, louder=False):
        super().__init__()
        self.fc = nn.Linear(dim, dim)
        if louder:
            gain = 2.0
        self.gain = gain

    def forward(self, x):
        x = self.fc(x)
        return x if self.gain is None else x * self.gain


class Stores(nn.Module):
    """Names that get another value in a branch that no run took, and are read without their name."""

    def __init__(self, dim=8, louder=False, kind=None, width=None, shift=0.5, moved=False):
        super().__init__()
        self.layer = Layer(dim, louder=louder)
        self._set_act(kind, width)
        self.last = torch.tanh if kind == "tanh" else None  # a function of torch that no run chose
        if moved:
            shift = shift + 1.0
        self.shift = shift

    def _set_act(self, kind, width):
        if kind is None and width is not None:
            kind = "relu"
        if kind == "relu":
            self.act = nn.ReLU()
        else:
            self.act = None

    def forward(self, x):
        x = self.layer(x)
        if self.act is not None:
            x = self.act(x)
        x = x if self.last is None else self.last(x)
        return x + self.shift
