import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    """A layer norm over channels, wherever they are."""

    def __init__(self, dim, channels_last):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.channels_last = channels_last

    def forward(self, x):
        if self.channels_last:
            x = self.norm(x)
        else:
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm = Norm(dim, channels_last=True)
        self.wide = nn.Linear(dim, 2 * dim)
        self.narrow = nn.Linear(2 * dim, dim)

    def forward(self, x):
        residual = x
        x = self.norm(self.conv(x).permute(0, 2, 3, 1))
        x = self.narrow(F.gelu(self.wide(x)))
        return residual + x.permute(0, 3, 1, 2)


class Picture(nn.Module):
    """Blocks that work on the last axis in between, as the reference's own code moves it."""

    def __init__(self, dim=8):
        super().__init__()
        self.stem = nn.Conv2d(3, dim, 2, stride=2)
        self.norm = Norm(dim, channels_last=False)
        self.blocks = nn.ModuleList([Block(dim), Block(dim)])

    def forward(self, x):
        x = self.norm(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return x
