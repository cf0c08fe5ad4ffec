from einops import rearrange
from einops.layers.torch import Rearrange
from torch import nn


class Squeeze(nn.Module):
    """One weight per channel, from the channel's mean."""

    def __init__(self, width, reduction):
        super().__init__()
        act = nn.LeakyReLU(0.1)
        self.net = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, width // reduction, 1),
            act,
            nn.Conv2d(width // reduction, width, 1),
            act,
            nn.Hardsigmoid(),
        )

    def forward(self, x):
        return x * self.net(x)


class Picture(nn.Module):
    """Patches of a picture, convolved as a smaller picture, and classified."""

    def __init__(self, width=8, reduction=2, patch=2, pool=3, classes=5):
        super().__init__()
        self.patch = patch
        self.stem = nn.Sequential(
            Rearrange("b c (h p) (w q) -> b (p q c) h w", p=patch, q=patch),
            nn.Conv2d(3 * patch**2, width, 3, padding=1),
            nn.Sequential(nn.InstanceNorm2d(width, affine=True), nn.PReLU(width)),
        )
        self.squeeze = Squeeze(width, reduction)
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d((pool, 2)), nn.Flatten(), nn.Linear(width * pool * 2, classes))

    def forward(self, x):
        x = self.squeeze(self.stem(x))
        tokens = rearrange(x, "b (n d) h w -> n b (h w) d", n=2)
        return self.head(x), tokens
