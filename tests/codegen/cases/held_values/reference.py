"""Values that objects hold for a while: fields of a dataclass, a context, a property, slices of a picture, a list."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Sizes:
    batch: int
    length: int
    heads: int


class SafeSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, dim):
        ctx.dim = dim
        shares = torch.softmax(scores, ctx.dim)
        ctx.save_for_backward(shares)
        return shares


class ChannelNorm(nn.LayerNorm):
    """Normalises the channels of (batch, channels, length)."""

    def __init__(self, width, *args, **kwargs):
        nn.LayerNorm.__init__(self, width, *args, **kwargs)

    def forward(self, x):
        return nn.LayerNorm.forward(self, x.permute(0, 2, 1)).permute(0, 2, 1)


class Padded(nn.Conv1d):
    @property
    def pads(self):
        return self.kernel_size[0] - 1, 0

    def forward(self, x):
        return super().forward(F.pad(x, (self.pads[0], self.pads[1])))


class Attention(nn.Module):
    def __init__(self, width, heads, scaled=True):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5 if scaled else 0.1
        self.query = nn.Linear(width, width)

    def split(self, x, length, batch):
        return x.view(batch, length, self.heads, -1).transpose(1, 2)

    def forward(self, x):
        sizes = Sizes(batch=x.shape[0], length=x.shape[1], heads=self.heads)
        query = self.split(self.query(x), sizes.length, batch=sizes.batch)
        shares = SafeSoftmax.apply(query @ query.transpose(-1, -2) * self.scale, -1)
        return (shares @ query).transpose(1, 2).reshape(sizes.batch, sizes.length, -1)


class HeldValues(nn.Module):
    def __init__(self, width=8, heads=2, pairs=(1, 0)):
        super().__init__()
        self.pairs = list(pairs)
        self.conv = Padded(width, width, 3)
        self.norm = ChannelNorm(width)
        self.blocks = nn.ModuleList([Attention(width, heads, scaled=i == 0) for i in range(2)])
        self.mlp = nn.ModuleDict({"first": nn.Linear(width, width), "act": nn.GELU(), "last": nn.Linear(width, width)})

    def forward(self, x):
        x = self.norm(self.conv(x))
        rows = [row * (i + 1) for i, row in enumerate(x)]
        x = torch.stack(rows).transpose(1, 2)
        for block in self.blocks:
            x = x + block(x)
        for layer in self.mlp.values():
            x = layer(x)
        return x[:, self.pairs]
