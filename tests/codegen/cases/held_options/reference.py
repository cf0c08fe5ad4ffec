import torch
from torch import nn


def shifted(x, **options):
    return x * options.pop("scale", 2.0) + options.pop("shift", 0.5)


class Scaled(nn.Module):
    """A property of a base class that every run finds the same, because its parts come from the config."""

    factor = 2.0

    @property
    def gain(self):
        return self.factor * self.extra

    def post(self, x):
        return x * self.gain


class Weighted(Scaled):
    """Options that one config leaves empty and another fills; parameters by name and in a list."""

    factor = 3.0

    def __init__(self, dim=8, extra=1.5, scale=None, kinds=("a", "b"), count=2):
        super().__init__()
        self.extra = extra
        self.options = {} if scale is None else {"scale": scale}
        self.kinds = tuple(kinds)
        self.fc = nn.Linear(dim, dim)
        self.by_name = nn.ParameterDict({k: nn.Parameter(torch.randn(dim)) for k in self.kinds})
        self.in_order = nn.ParameterList([nn.Parameter(torch.randn(dim)) for _ in range(count)])

    def forward(self, x):
        x = self.post(self.fc(x))
        x = shifted(x, shift=1.0) + shifted(x, **self.options) + shifted(x, scale=0.5)
        for kind in self.kinds:
            x = x * self.by_name[kind]
        for weight in self.in_order:
            x = x + weight
        return x
