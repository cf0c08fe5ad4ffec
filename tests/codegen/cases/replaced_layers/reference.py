import torch
from torch import nn


class Frozen(nn.Module):
    """A batch norm whose statistics and weights are four plain vectors."""

    def __init__(self, n):
        super().__init__()
        self.register_buffer("weight", torch.ones(n))
        self.register_buffer("bias", torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_var", torch.ones(n))

    def forward(self, x):
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


def freeze(model):
    for name, module in model.named_children():
        if isinstance(module, nn.BatchNorm2d):
            frozen = Frozen(module.num_features)
            frozen.weight.copy_(module.weight)
            frozen.bias.copy_(module.bias)
            frozen.running_mean.copy_(module.running_mean)
            frozen.running_var.copy_(module.running_var)
            model._modules[name] = frozen
        if len(list(module.children())) > 0:
            freeze(module)


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm = nn.BatchNorm2d(dim)
        self.pool = nn.MaxPool2d(2, stride=2, ceil_mode=True)

    def forward(self, x):
        return self.pool(torch.relu(self.norm(self.conv(x))))


class Picture(nn.Module):
    def __init__(self, dim=8, depth=2, extra=0):
        super().__init__()
        self.stem = nn.Conv2d(3, dim, 1)
        self.blocks = nn.ModuleList([Block(dim) for _ in range(depth)])
        self.more = nn.ModuleList([nn.Conv2d(dim, dim, 3) for _ in range(extra)])
        with torch.no_grad():
            freeze(self)
        for name, parameter in self.blocks.named_parameters():
            if "norm" in name:
                parameter.requires_grad_(False)

    def forward(self, pixel_values):
        x = self.stem(pixel_values)
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x.mean((2, 3)))
        if len(found) >= 2:
            found[0], found[1] = found[1], found[0]  # in place, and both at once
        return torch.cat(found, dim=-1)
