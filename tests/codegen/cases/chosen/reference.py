import torch
from torch import nn


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(-1, 1)

    @staticmethod
    def backward(ctx, grad):
        return grad


def slow(width, base=100.0):
    def power(i, n):
        return base ** (i / n)

    return 1.0 / power(torch.arange(width), width), 1.0


def fast(width, base=10.0):
    return 1.0 / base ** torch.arange(width), 0.5


RATES = {"slow": slow, "fast": fast, "never": lambda width: None}


class Shift(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(dim))

    def forward(self, x):
        return x + self.bias


class Mix(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        return self.proj(x)


LAYERS = {"shift": Shift, "mix": Mix}


class Waves(nn.Module):
    """Buffers whose names are computed, each from a function that a table holds."""

    def __init__(self, dim, kinds):
        super().__init__()
        for kind in sorted(set(kinds)):
            make = RATES[kind]
            rate, scale = make(dim)
            setattr(self, f"{kind}_rate", nn.Buffer(rate, persistent=False))
            setattr(self, f"{kind}_scale", scale)

    def forward(self, x, kind):
        return torch.cos(x * getattr(self, f"{kind}_rate")) * getattr(self, f"{kind}_scale")


class Stack(nn.Module):
    def __init__(self, dim=6, layers=("shift", "mix"), kinds=("slow", "fast")):
        super().__init__()
        try:
            width = int(dim)
        except TypeError:
            width = 1
        self.kinds = kinds
        self.waves = Waves(width, kinds)
        made = []
        for name in layers:
            layer_class = LAYERS[name]
            made.append(layer_class(width))
        self.layers = nn.ModuleList(made)

    def forward(self, x):
        for layer in self.layers:
            x = Clipped.apply(layer(x))
        waves = {kind: self.waves(x, kind) for kind in self.kinds}
        return sum(waves[kind] for kind in self.kinds)
