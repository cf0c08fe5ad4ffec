from collections import OrderedDict

import torch
from torch import nn


class ConvNormAct(nn.Sequential):
    """A class derived from Sequential that keeps torch's way of running."""

    def __init__(self, width_in, width_out, stride=1):
        layers = [nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)]
        layers.append(nn.BatchNorm2d(width_out))
        layers.append(nn.ReLU())
        super().__init__(*layers)


class Transition(nn.Sequential):
    """Layers of a derived Sequential that are set by name, one after another."""

    def __init__(self, width_in, width_out):
        super().__init__()
        self.norm = nn.BatchNorm2d(width_in)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(width_in, width_out, 1)


class Growing(nn.ModuleDict):
    """Layers that each see what all layers before them gave."""

    def __init__(self, count, width, growth):
        super().__init__()
        for i in range(count):
            self.add_module("layer%d" % (i + 1), ConvNormAct(width + i * growth, growth))

    def forward(self, x):
        found = [x]
        for _, layer in self.items():
            found.append(layer(torch.cat(found, 1)))
        return torch.cat(found, 1)


class Picture(nn.Module):
    """Stages under computed names, and a Sequential whose layers have names."""

    def __init__(self, width=8, growth=4, counts=(1, 2), classes=5):
        super().__init__()
        self.features = nn.Sequential(OrderedDict([("conv0", nn.Conv2d(3, width, 3)), ("act0", nn.GELU())]))
        for i, count in enumerate(counts):
            self.features.add_module(f"grow{i}", Growing(count, width, growth))
            width += count * growth
            self.features.add_module(f"transition{i}", Transition(width, width // 2))
            width //= 2
        names = [f"stage{i}" for i in (1, 2)]
        for name in names:
            setattr(self, name, ConvNormAct(width, width))
        self.head = nn.Sequential(OrderedDict([("fc", nn.Linear(width, classes)), ("norm", nn.LayerNorm(classes))]))

    def forward(self, pixels):
        x = self.features(pixels)
        x = self.stage2(self.stage1(x)) + self.features.conv0.weight.mean()
        return self.head(x.mean((2, 3)))
