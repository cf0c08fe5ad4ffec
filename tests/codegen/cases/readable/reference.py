import torch
from torch import nn


class CenteredNorm(nn.Module):
    """A norm without a bias, written out."""

    def __init__(self, hidden_size=None, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).pow(2).mean(-1, keepdim=True)
        return self.weight * ((x - mean) * torch.rsqrt(variance + self.variance_epsilon))


class Gate(nn.Module):
    """
    Multiplies what it is given by a gate, in a sentence that is so long that no formatter would leave it in one line.

    Args:
        dim (`int`): the width.
    """

    def __init__(self, dim, ratio=2, name="silu"):
        super().__init__()
        self.dim = dim
        self.hidden = int(dim * ratio)
        self.ratio = ratio
        proj = nn.Linear(self.dim, self.hidden)
        self.proj = proj
        self.out = nn.Linear(self.hidden, self.dim)  # back to the width of the input, which the residual needs
        self.name = name

    def forward(self, x):
        """The forward method of the gate."""
        h = nn.functional.silu(self.proj(x))
        return x * self.out(h)


class Readable(nn.Module):
    def __init__(self, dim=8, ratio=3, eps=1e-5):
        super().__init__()
        self.norm = CenteredNorm(dim, eps=eps)
        self.gate = Gate(dim, ratio=ratio)

    def forward(self, x):
        return self.gate(self.norm(x))
