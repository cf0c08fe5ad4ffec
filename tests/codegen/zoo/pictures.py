"""Small modules in the style of picture and audio models: layers in mixed lists, padding by an input's own values."""

import torch
import torch.nn as nn
import torch.nn.functional as F

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


class InnerPool(nn.Module):
    """Means over windows without what pads them, behind a norm of its own class; layers under unlike names."""

    def __init__(self, c=4, kernel=3):
        super().__init__()
        self.norm = OneGroup(c)
        self.pool = nn.AvgPool2d(kernel, stride=1, padding=kernel // 2, count_include_pad=False)
        self.layers = nn.ModuleList([Scale(c), Shift(c)])

    def forward(self, x):
        x = self.pool(self.norm(x)) - x
        for layer in self.layers:
            x = layer(x)
        return x


class OneGroup(nn.GroupNorm):
    def __init__(self, c, **kwargs):
        super().__init__(1, c, **kwargs)


class Scale(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c))

    def forward(self, input, times=1):
        return input * self.weight[:, None, None] * times


class Shift(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(c))

    def forward(self, hidden_states):
        return hidden_states + self.bias[:, None, None]


class Patches(nn.Module):
    """Patches cut out, changed and put back, behind padding of one of two modes; a loop that may not go round."""

    def __init__(self, c=3, size=2, extra=0):
        super().__init__()
        self.size, self.modes = size, ("constant", "replicate")
        self.first, self.last = nn.Linear(size * size * c, size * size * c), nn.ModuleList()
        for _ in range(extra):
            self.last.append(nn.Conv2d(c, c, 1))

    def pad(self, x, mode):
        return F.pad(x, (0, 1, 0, 1), mode=mode)

    def forward(self, x):
        for mode in self.modes:
            x = self.pad(x, mode)
        h = F.unfold(x, kernel_size=self.size, stride=self.size)
        h = self.first(h.transpose(1, 2)).transpose(1, 2)
        h = F.fold(h, (x.shape[2] // self.size * self.size, x.shape[3] // self.size * self.size), self.size, stride=2)
        for layer in self.last:
            h = layer(h)
        return h


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
    "InnerPool": {"seen": [{"x": "f 2 4 7 9"}], "unseen": [{"x": "f 1 4 8 5"}], "others": [{"kernel": 5}]},
    "Patches": {"seen": PICTURES, "unseen": [{"x": "f 1 3 8 5"}], "others": [{"extra": 1}]},
    "TransposedNorm": {"seen": [{"x": "f 2 33"}], "unseen": [{"x": "f 1 40"}], "others": [{"c": 6}, {"depth": 3}]},
    "Gated": {"seen": [{"x": "f 2 5 7 6"}], "unseen": [{"x": "f 1 4 4 6"}], "others": [{"kernel": 5}]},
}
