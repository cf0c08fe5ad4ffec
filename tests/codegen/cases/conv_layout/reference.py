import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.conv(F.silu(self.norm(x)))


class Pyramid(nn.Module):
    """Two scales of a picture, summed."""

    def __init__(self, channels=8, groups=2, classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
        self.block = Residual(channels, groups)
        self.head = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.stem(x)
        # half the resolution, there and back
        y = self.block(self.down(x))
        y = F.interpolate(y, scale_factor=2.0, mode="nearest")
        b, c, h, w = y.shape
        x = x + y
        finer, coarser = F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2)
        return self.head(x.mean(dim=(2, 3))), x.reshape(b, c, h * w), finer, coarser
