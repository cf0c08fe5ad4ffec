from collections.abc import Iterable
from functools import partial
from itertools import repeat

import torch
from torch import nn


def repeated(n):
    def parse(x):
        if isinstance(x, Iterable) and not isinstance(x, str):
            return tuple(x)
        return tuple(repeat(x, n))

    return parse


to_pair = repeated(2)


def init_weights(module, name=""):
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def named_apply(fn, module, name=""):
    for child_name, child in module.named_children():
        named_apply(fn, child, f"{name}.{child_name}" if name else child_name)
    fn(module=module, name=name)
    return module


def get_act(name):
    return {"relu": nn.ReLU, "silu": nn.SiLU}[name] if name is not None else None


class Mlp(nn.Module):
    def __init__(self, width, hidden, act_layer=nn.GELU, norm_layer=None, bias=True):
        super().__init__()
        bias = to_pair(bias)
        self.fc1 = nn.Linear(width, hidden, bias=bias[0])
        self.act = act_layer()
        self.norm = norm_layer(hidden) if norm_layer is not None else nn.Identity()
        self.fc2 = nn.Linear(hidden, width, bias=bias[1])

    def forward(self, x):
        return self.fc2(self.norm(self.act(self.fc1(x))))


class Block(nn.Module):
    def __init__(self, width, norm_layer, act_layer, mlp_layer):
        super().__init__()
        self.norm = norm_layer(width)
        self.mlp = mlp_layer(width, 2 * width, act_layer=act_layer)
        self.scale = nn.Parameter(torch.empty(width))
        self.register_buffer("places", torch.empty(width), persistent=False)
        self.places.copy_(torch.arange(width) / width)
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.constant_(self.scale, 0.1)

    def forward(self, x):
        torch._assert(x.dim() == 3, f"expected (batch, length, width), got {x.shape}")
        return x + self.scale * self.mlp(self.norm(x)) + self.places


class Pool(nn.Module):
    """Layers without weights, which arguments of the constructor choose."""

    def __init__(self, kind, flatten):
        super().__init__()
        kind = kind.lower()
        if not kind:
            self.pool = nn.Identity()
        elif kind == "avg":
            self.pool = nn.AdaptiveAvgPool1d(1)
        else:
            self.pool = nn.AdaptiveMaxPool1d(1)
        self.flatten = nn.Flatten(1) if flatten else nn.Identity()

    def forward(self, x):
        return self.flatten(self.pool(x.transpose(1, 2)))


class Encoder(nn.Module):
    """Classes and partials that are handed on, defaults for None, and weights that are drawn after all is built."""

    def __init__(self, width=16, depth=2, patch=2, norm_layer=None, act_layer=None, mlp_layer=Mlp, pool="avg"):
        super().__init__()
        norm_layer = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        act_layer = get_act(act_layer) or nn.GELU
        patch = to_pair(patch)
        self.embed = nn.Conv2d(3, width, patch, stride=patch)
        self.pos = nn.Parameter(torch.zeros(1, 1, width).normal_(std=0.02))
        mlp_layer = partial(mlp_layer, norm_layer=nn.LayerNorm)
        self.blocks = nn.ModuleList([Block(width, norm_layer, act_layer, mlp_layer) for _ in range(depth)])
        self.norm = norm_layer(width)
        self.pool = Pool(pool, flatten=len(pool) > 0)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
            elif isinstance(m, (nn.LayerNorm, nn.GroupNorm)):
                nn.init.ones_(m.weight)
        named_apply(init_weights, self)

    def forward(self, pixels):
        x = self.embed(pixels).flatten(2).transpose(1, 2) + self.pos
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return x, self.pool(x)
