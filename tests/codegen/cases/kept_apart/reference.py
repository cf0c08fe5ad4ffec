"""Objects with a state, layers that an argument turns into another, dicts and results that a flag chooses."""

from __future__ import annotations

import torch
from torch import nn


class Table:
    """No module, but with a state that its call reads."""

    def __init__(self, width: int):
        self.width = width
        self.made: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.made is None:
            self.made = torch.arange(self.width, dtype=torch.float32) / self.width
        return x + self.made


class Block(nn.Module):
    def __init__(self, width: int, whole: bool = False):
        super().__init__()
        norm_kwargs = {} if whole else {"eps": 1e-3}
        self.norm = nn.RMSNorm(width, elementwise_affine=False, **norm_kwargs)
        self.pool = nn.AvgPool2d(2, ceil_mode=True)
        self.extra = nn.ModuleList([])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        for layer in self.extra:
            x = layer(x)
        return self.pool(x[:, None])[:, 0]


class KeptApart(nn.Module):
    def __init__(self, width: int = 7, whole: bool = False):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.table = Table(width)
        self.block = Block(width, whole)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, as_tuple: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor]:
        x = self.table(self.linear(x))
        x[mask] *= 0.5
        rows = [x, self.linear(x)]
        made = []
        for row in rows:
            made.append(row * 2)
        rows = made
        x = self.block(rows[0] + rows[1])
        return x if not as_tuple else (x,)
