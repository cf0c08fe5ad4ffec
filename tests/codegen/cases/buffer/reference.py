import math

import torch
from torch import nn


class Positional(nn.Module):
    def __init__(self, dim=12, length=64):
        super().__init__()
        position = torch.arange(length).float()[:, None]
        rate = torch.exp(torch.arange(0, dim, 2).float() * (-math.log(10000.0) / dim))
        table = torch.zeros(length, dim)
        table[:, 0::2] = torch.sin(position * rate)
        table[:, 1::2] = torch.cos(position * rate)
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("mean", torch.zeros(dim))
        self.keys = nn.Linear(dim, dim)
        self._inner = nn.Linear(dim, dim)

    def forward(self, x):
        x = x - self.mean + self.table[: x.shape[1]]
        return self.keys(x), self._inner(x)
