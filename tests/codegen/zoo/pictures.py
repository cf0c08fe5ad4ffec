"""Small modules in the style of picture and audio models: layers in mixed lists, padding by an input's own values."""

import torch
import torch.nn as nn

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class MixedList(nn.Module):
    """One call in a loop reaches convolutions, norms, activations and layers that do nothing."""

    def __init__(self, c=4, depth=2, norm=True):
        super().__init__()
        self.layers = nn.ModuleList([nn.Identity()])
        for i in range(depth):
            self.layers.append(nn.Conv2d(3 if i == 0 else c, c, 3, padding=1))
            self.layers.append(nn.BatchNorm2d(c) if norm else nn.Identity())
            self.layers.append(nn.ReLU() if i == 0 else nn.Hardsigmoid())

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class ConvBlock(nn.Module):
    def __init__(self, c_in, c_out, activation="relu"):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.activation = ACTIVATIONS[activation]() if activation is not None else nn.Identity()

    def forward(self, x):
        return self.activation(self.conv(x))


class GivenActivation(nn.Module):
    """An activation by name: a default, a setting of the model, and none at all."""

    def __init__(self, c=4, kind="relu"):
        super().__init__()
        self.first = ConvBlock(3, c)
        self.second = ConvBlock(c, c, kind)
        self.last = ConvBlock(c, 2, None)

    def forward(self, x):
        return self.last(self.second(self.first(x)))


class OwnPadding(nn.Module):
    """Padding that mirrors, repeats the border or goes around, by layers and by convolutions."""

    def __init__(self, c=4, mode="reflect", width=1):
        super().__init__()
        self.pad = nn.ReflectionPad2d((1, 2, 0, 1))
        self.conv = nn.Conv2d(3, c, 3, padding=(width, 2), padding_mode=mode)
        self.around = nn.Conv2d(c, c, 3, padding=1, padding_mode="circular", groups=2)
        self.same = nn.Conv2d(c, c, (4, 3), padding="same", dilation=(1, 2))
        self.border = nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(c, 2, 3), nn.ConstantPad2d((1, 0, 0, 2), 0.5))

    def forward(self, x):
        return self.border(self.same(self.around(self.conv(self.pad(x)))))


class SpreadArguments(nn.Module):
    """Arguments spread from a list, and tables made from lists of numbers."""

    def __init__(self, widths=(3, 4, 5)):
        super().__init__()
        self.layers = nn.ModuleList([ConvBlock(*widths[i : i + 2], activation="gelu") for i in range(len(widths) - 1)])
        self.register_buffer("places", torch.LongTensor([2, 0, 1]), persistent=False)
        self.register_buffer("scale", torch.Tensor([0.5, 1.0, 2.0]), persistent=False)

    def forward(self, x):
        x = x[:, self.places] * self.scale[None, :, None, None]
        for layer in self.layers:
            x = layer(x)
        return x


class TransposedNorm(nn.Module):
    """A line of convolutions whose results are normalised over channels, transposed there and back."""

    def __init__(self, c=4, depth=2):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(1 if i == 0 else c, c, 3, stride=2, bias=False) for i in range(depth)])
        self.norms = nn.ModuleList([nn.LayerNorm(c) for _ in range(depth)])
        self.activation = nn.GELU()

    def forward(self, x):
        h = x[:, None]
        for conv, norm in zip(self.convs, self.norms):
            h = norm(conv(h).transpose(-2, -1)).transpose(-2, -1)
            h = self.activation(h)
        return h.transpose(1, 2)


class Gated(nn.Module):
    """Pieces of one projection, of which the first goes through convolutions and the others multiply."""

    def __init__(self, dim=6, kernel=3):
        super().__init__()
        self.project = nn.Linear(dim, 2 * dim + 1)
        self.context = nn.Sequential(nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim), nn.GELU())
        self.out = nn.Linear(dim, dim)
        self.dim = dim

    def forward(self, x):
        q, context, gate = torch.split(self.project(x).permute(0, 3, 1, 2), (self.dim, self.dim, 1), 1)
        context = self.context(context) * gate
        return self.out((q * context).permute(0, 2, 3, 1))


PICTURES = [{"x": "f 2 3 7 9"}]
ZOO = {
    "MixedList": {
        "seen": PICTURES,
        "unseen": [{"x": "f 1 3 8 5"}],
        "others": [{"c": 6}, {"norm": False}],
    },
    "GivenActivation": {"seen": PICTURES, "unseen": [{"x": "f 1 3 8 5"}], "others": [{"c": 5}, {"kind": "gelu"}]},
    "OwnPadding": {
        "seen": PICTURES,
        "unseen": [{"x": "f 1 3 8 5"}],
        "others": [{"mode": "replicate"}, {"mode": "zeros"}, {"width": 2}],
    },
    "SpreadArguments": {"seen": PICTURES, "unseen": [{"x": "f 1 3 8 5"}], "others": [{"widths": (3, 2, 6, 4)}]},
    "TransposedNorm": {"seen": [{"x": "f 2 33"}], "unseen": [{"x": "f 1 40"}], "others": [{"c": 6}, {"depth": 3}]},
    "Gated": {"seen": [{"x": "f 2 5 7 6"}], "unseen": [{"x": "f 1 4 4 6"}], "others": [{"kernel": 5}]},
}
