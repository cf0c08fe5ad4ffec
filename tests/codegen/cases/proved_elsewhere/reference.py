from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn


class RootNorm(nn.Module):
    """A norm that is told how to compute by an object, which no config can be asked about."""

    def __init__(self, width, settings):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = settings.eps
        self.factor = settings.factor

    def forward(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return x * self.weight * self.factor


class OffsetNorm(nn.Module):
    """A norm around one, whose numbers may be kept within bounds."""

    def __init__(self, width, bound=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.eps = 1e-6
        self.bound = bound

    def forward(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * (1.0 + self.weight)
        return x if self.bound is None else x.clamp(-self.bound, self.bound)


def attend(module, query, key, value, attention_mask, scaling=None, **kwargs):
    scores = torch.matmul(query, key.transpose(-1, -2)) * scaling
    if module.by_layer:
        scores = scores / (module.index + 1)
    if attention_mask is not None:
        scores = scores + attention_mask
    shares = F.softmax(scores, dim=-1)
    return torch.matmul(shares, value).transpose(1, 2), shares


class Attention(nn.Module):
    def __init__(self, width, index, by_layer):
        super().__init__()
        self.index = index
        self.by_layer = by_layer
        self.query = nn.Linear(width, width)

    def forward(self, x, mask=None):
        query = self.query(x).view(*x.shape[:2], 2, -1).transpose(1, 2)
        out, _ = attend(self, query, query, query, mask, scaling=0.5)
        return out.flatten(2)


class Flagged(nn.Module):
    """Norms and attention that MLX has in one function, each with a flag that changes nothing as it is."""

    def __init__(self, width=8, factor=1.0, bound=None, by_layer=False):
        super().__init__()
        self.first = RootNorm(width, SimpleNamespace(eps=1e-5, factor=factor))
        self.second = OffsetNorm(width, bound)
        self.layers = nn.ModuleList([Attention(width, i, by_layer) for i in range(2)])

    def forward(self, x):
        x = self.second(self.first(x))
        for layer in self.layers:
            x = x + layer(x)
        return x
