import torch
from torch import nn


def scaled(x, factor=2.0, squared=True):
    x = x * x if squared else x
    return x * factor


def around(x, **kwargs):
    """Takes one keyword itself, gives another a default, and hands the rest on."""
    shift = kwargs.pop("shift", 0.5)
    kwargs.setdefault("factor", 3.0)
    return scaled(x, **kwargs) + shift


def convolution(width_in, width_out, size, **kwargs):
    kwargs.setdefault("bias", True)
    padding = kwargs.pop("padding", "")
    if isinstance(padding, str):
        padding = size // 2
    return nn.Conv1d(width_in, width_out, size, padding=padding, **kwargs)


class Mixture(nn.Module):
    """Keywords that some calls give and others leave out: each callee's own default counts then."""

    def __init__(self, width=6, size=3):
        super().__init__()
        self.first = convolution(width, width, size, stride=2, bias=False)
        self.second = convolution(width, width, size, padding=0)
        self.third = convolution(width, width, 1, groups=2)

    def forward(self, x):
        x = self.third(self.second(self.first(x)))
        given = [around(x, shift=1.5), around(x, factor=0.5), around(x, squared=False), around(x)]
        return torch.cat(given, 1)
