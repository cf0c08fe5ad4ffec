import torch
from torch import nn

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU}


class Gated(nn.Module):
    def __init__(self, dim=8, hidden=20, gated=True, act="silu", window=None):
        super().__init__()
        self.gated = gated
        self.window = window
        self.up = nn.Linear(dim, hidden)
        self.gate = nn.Linear(dim, hidden) if gated else None
        self.act = ACTIVATIONS[act]()
        self.down = nn.Linear(hidden, dim if window is None else dim + 1)

    def forward(self, x):
        h = self.up(x)
        if self.gated:
            h = h * self.act(self.gate(x))
        else:
            h = self.act(h)
        if x.shape[1] > 64:
            h = h[:, -64:]
        return self.down(h)
