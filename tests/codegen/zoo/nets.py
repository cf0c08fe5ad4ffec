"""Small whole networks in the styles that people write: a GPT, a ViT, a ResNet, a mixer, a U-Net, a state space, an MoE."""

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


def exists(v):
    return v is not None


def default(v, d):
    return v if exists(v) else d


class CausalBlock(nn.Module):
    def __init__(self, dim, heads, most, bias):
        super().__init__()
        assert dim % heads == 0
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.proj = nn.Linear(dim, dim, bias=bias)
        self.norm1, self.norm2 = nn.LayerNorm(dim, bias=bias), nn.LayerNorm(dim, bias=bias)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim, bias=bias), nn.GELU(), nn.Linear(4 * dim, dim, bias=bias))
        self.flash = hasattr(F, "scaled_dot_product_attention") and most > 20
        if not self.flash:
            self.register_buffer("mask", torch.tril(torch.ones(most, most)).view(1, 1, most, most))

    def attend(self, x):
        B, T, C = x.size()
        q, k, v = self.qkv(x).split(C, dim=2)
        k = k.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        q = q.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        v = v.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        if self.flash:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, is_causal=True)
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
            y = F.softmax(att, dim=-1) @ v
        return self.proj(y.transpose(1, 2).contiguous().view(B, T, C))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MiniGPT(nn.Module):
    """Tied head, positions by arange, the last position only where there are no targets."""

    def __init__(self, vocab=17, dim=16, depth=2, heads=4, most=16, bias=True, tie=True):
        super().__init__()
        self.most = most
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(vocab, dim),
                wpe=nn.Embedding(most, dim),
                h=nn.ModuleList([CausalBlock(dim, heads, most, bias) for _ in range(depth)]),
                ln_f=nn.LayerNorm(dim, bias=bias),
            )
        )
        self.lm_head = nn.Linear(dim, vocab, bias=False)
        if tie:
            self.transformer.wte.weight = self.lm_head.weight

    def forward(self, idx, targets=None):
        b, t = idx.size()
        assert t <= self.most, "too long"
        pos = torch.arange(0, t, dtype=torch.long, device=idx.device)
        x = self.transformer.wte(idx) + self.transformer.wpe(pos)
        for block in self.transformer.h:
            x = block(x)
        x = self.transformer.ln_f(x)
        if targets is not None:
            logits = self.lm_head(x)
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        else:
            logits = self.lm_head(x[:, [-1], :])
            loss = None
        return logits, loss


class PreNorm(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(dim), fn

    def forward(self, x, **kwargs):
        return self.fn(self.norm(x), **kwargs) + x


class SelfAttention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=4, dropout=0.0):
        super().__init__()
        inner = dim_head * heads
        project_out = not (heads == 1 and dim_head == dim)
        self.heads, self.scale = heads, dim_head**-0.5
        self.to_qkv = nn.Linear(dim, inner * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout)) if project_out else nn.Identity()

    def forward(self, x, mask=None):
        qkv = self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = map(lambda t: t.unflatten(-1, (self.heads, -1)).transpose(1, 2), qkv)
        dots = torch.matmul(q, k.transpose(-1, -2)) * self.scale
        if exists(mask):
            dots = dots.masked_fill(~mask[:, None, None], -torch.finfo(dots.dtype).max)
        return self.to_out(torch.matmul(dots.softmax(dim=-1), v).transpose(1, 2).flatten(2))


class PatchTransformer(nn.Module):
    """Patches, a class token, pre-norm residuals through **kwargs, a choice of pooling."""

    def __init__(self, image=12, patch=4, dim=12, depth=2, heads=2, classes=5, pool="cls", channels=3, dim_head=4):
        super().__init__()
        assert pool in {"cls", "mean"}
        self.patch, self.pool = patch, pool
        self.to_patch = nn.Linear(channels * patch * patch, dim)
        self.pos = nn.Parameter(torch.randn(1, (image // patch) ** 2 + 1, dim))
        self.cls = nn.Parameter(torch.randn(1, 1, dim))
        self.layers = nn.ModuleList([])
        for _ in range(depth):
            feed = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Dropout(0.0), nn.Linear(2 * dim, dim))
            attend = PreNorm(dim, SelfAttention(dim, heads, dim_head))
            self.layers.append(nn.ModuleList([attend, PreNorm(dim, feed)]))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))

    def forward(self, img):
        b, c, h, w = img.shape
        p = self.patch
        x = img.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)
        x = self.to_patch(x)
        x = torch.cat((self.cls.expand(b, -1, -1), x), dim=1)
        x += self.pos[:, : x.shape[1]]
        for attn, ff in self.layers:
            x = attn(x)
            x = ff(x)
        x = x.mean(dim=1) if self.pool == "mean" else x[:, 0]
        return self.head(x)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None, norm_layer=None):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResidualNet(nn.Module):
    def __init__(self, layers=(1, 2), width=4, classes=6, stem="pool"):
        super().__init__()
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem == "pool" else nn.Identity()
        for i, n in enumerate(layers):
            setattr(self, f"layer{i + 1}", self._make(width * 2**i, n, 1 if i == 0 else 2))
        self.depth = len(layers)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(self.inplanes, classes)

    def _make(self, planes, blocks, stride):
        downsample = None
        if stride != 1 or self.inplanes != planes * BasicBlock.expansion:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, planes * BasicBlock.expansion, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )
        layers = [BasicBlock(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * BasicBlock.expansion
        layers += [BasicBlock(self.inplanes, planes) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(self.depth):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class SqueezeExcite(nn.Module):
    def __init__(self, c, r=2):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(c, c // r, 1), nn.Conv2d(c // r, c, 1)

    def forward(self, x):
        s = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(F.silu(self.fc1(s))))


class LayerScale(nn.Module):
    def __init__(self, dim, init=1e-5, inplace=False):
        super().__init__()
        self.inplace = inplace
        self.gamma = nn.Parameter(init * torch.ones(dim))

    def forward(self, x):
        return x.mul_(self.gamma) if self.inplace else x * self.gamma


def drop_path(x, p: float = 0.0, training: bool = False):
    if p == 0.0 or not training:
        return x
    keep = 1 - p
    return x * x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep).div_(keep)


class ConvNext(nn.Module):
    """Depthwise convolutions, channels-last norms in the middle, layer scale in place."""

    def __init__(self, c=6, depth=2, kernel=5, scale=1e-2, inplace=True, se=True):
        super().__init__()
        self.stem = nn.Conv2d(3, c, 2, 2)
        self.dw = nn.ModuleList([nn.Conv2d(c, c, kernel, padding=kernel // 2, groups=c) for _ in range(depth)])
        self.norm = nn.ModuleList([nn.LayerNorm(c, eps=1e-6) for _ in range(depth)])
        self.up = nn.ModuleList([nn.Linear(c, 2 * c) for _ in range(depth)])
        self.down = nn.ModuleList([nn.Linear(2 * c, c) for _ in range(depth)])
        self.ls = nn.ModuleList([LayerScale(c, scale, inplace) if scale else nn.Identity() for _ in range(depth)])
        self.se = SqueezeExcite(c) if se else None
        self.depth = depth

    def forward(self, x):
        x = self.stem(x)
        for i in range(self.depth):
            h = self.dw[i](x).permute(0, 2, 3, 1)
            h = self.ls[i](self.down[i](F.gelu(self.up[i](self.norm[i](h)))))
            x = x + drop_path(h.permute(0, 3, 1, 2), 0.1, self.training)
        if self.se is not None:
            x = self.se(x)
        return x


class MiniUNet(nn.Module):
    """Time embedding, skips in a list, resampling, group norms, attention at one depth."""

    def __init__(self, c=4, mults=(1, 2), groups=2, attn_at=(1,), out=None):
        super().__init__()
        widths = [c * m for m in mults]
        self.time = nn.Sequential(nn.Linear(8, c), nn.SiLU(), nn.Linear(c, c))
        self.inp = nn.Conv2d(3, c, 3, padding=1)
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        last = c
        for i, w in enumerate(widths):
            attend = ImageAttention(w) if i in attn_at else nn.Identity()
            down = nn.Conv2d(w, w, 3, 2, 1) if i < len(widths) - 1 else nn.Identity()
            self.downs.append(nn.ModuleList([ResBlock(last, w, c, groups), attend, down]))
            last = w
        for i, w in reversed(list(enumerate(widths))):
            self.ups.append(
                nn.ModuleList([ResBlock(last + w, w, c, groups), ImageAttention(w) if i in attn_at else nn.Identity()])
            )
            last = w
        self.norm = nn.GroupNorm(groups, last)
        self.out = nn.Conv2d(last, default(out, 3), 3, padding=1)

    def forward(self, x, t):
        half = torch.exp(torch.arange(4) * -(math.log(10000) / 3))
        args = t.float()[:, None] * half
        emb = self.time(torch.cat((args.sin(), args.cos()), dim=-1))
        h = self.inp(x)
        skips = []
        for res, attn, down in self.downs:
            h = attn(res(h, emb))
            skips.append(h)
            h = down(h)
        for res, attn in self.ups:
            skip = skips.pop()
            if h.shape[-2:] != skip.shape[-2:]:
                h = F.interpolate(h, size=skip.shape[-2:], mode="nearest")
            h = attn(res(torch.cat([h, skip], dim=1), emb))
        return self.out(F.silu(self.norm(h)))


class ResBlock(nn.Module):
    def __init__(self, a, b, emb, groups):
        super().__init__()
        self.block1 = nn.Sequential(nn.GroupNorm(groups, a), nn.SiLU(), nn.Conv2d(a, b, 3, padding=1))
        self.mlp = nn.Linear(emb, b * 2)
        self.norm = nn.GroupNorm(groups, b)
        self.conv = nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x, emb):
        h = self.block1(x)
        scale, shift = self.mlp(F.silu(emb))[:, :, None, None].chunk(2, dim=1)
        h = self.norm(h) * (scale + 1) + shift
        return self.conv(F.silu(h)) + self.skip(x)


class ImageAttention(nn.Module):
    def __init__(self, dim, heads=2):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(dim, dim * 3, 1, bias=False)
        self.out = nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).reshape(b, 3, self.heads, c // self.heads, h * w).unbind(1)
        attn = torch.einsum("bhdi,bhdj->bhij", q * (c // self.heads) ** -0.5, k).softmax(dim=-1)
        out = torch.einsum("bhij,bhdj->bhid", attn, v)
        return self.out(out.transpose(-1, -2).reshape(b, c, h, w)) + x


@dataclass
class MixerOptions:
    dim: int = 6
    length: int = 5
    expand: float = 2.0


class Mixer(nn.Module):
    """Options in a dataclass, token mixing by transposes."""

    def __init__(self, dim=6, length=5, expand=2.0, depth=2):
        super().__init__()
        o = MixerOptions(dim, length, expand)
        inner = int(o.dim * o.expand)
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            token = nn.Sequential(nn.Linear(o.length, o.length), nn.GELU(), nn.Linear(o.length, o.length))
            self.blocks.append(
                nn.ModuleDict({"token": token, "a": nn.Linear(o.dim, inner), "b": nn.Linear(inner, o.dim)})
            )
        self.norm = nn.LayerNorm(o.dim)

    def forward(self, x):
        for block in self.blocks:
            x = x + block["token"](self.norm(x).transpose(1, 2)).transpose(1, 2)
            x = x + block["b"](F.gelu(block["a"](self.norm(x))))
        return x


class StateSpace(nn.Module):
    """A selective scan in a Python loop, a causal depthwise convolution."""

    def __init__(self, dim=4, state=3, kernel=3):
        super().__init__()
        self.in_proj = nn.Linear(dim, dim * 2, bias=False)
        self.conv = nn.Conv1d(dim, dim, kernel, groups=dim, padding=kernel - 1)
        self.x_proj = nn.Linear(dim, state * 2 + 1)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, state + 1, dtype=torch.float32).repeat(dim, 1)))
        self.D = nn.Parameter(torch.ones(dim))
        self.state = state

    def forward(self, x):
        b, n, d = x.shape
        x, z = self.in_proj(x).chunk(2, dim=-1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., :n].transpose(1, 2))
        delta, B, C = self.x_proj(x).split([1, self.state, self.state], dim=-1)
        delta = F.softplus(delta)
        A = -torch.exp(self.A_log)
        h = torch.zeros(b, d, self.state)
        ys = []
        for i in range(n):
            h = torch.exp(delta[:, i, :, None] * A) * h + (delta[:, i] * x[:, i])[..., None] * B[:, i, None]
            ys.append((h * C[:, i, None]).sum(-1))
        return (torch.stack(ys, dim=1) + x * self.D) * F.silu(z)


class MixtureOfExperts(nn.Module):
    """A loop over experts with a dense mask, and no data-dependent shape."""

    def __init__(self, dim=6, experts=4, k=2, normalize=True):
        super().__init__()
        self.gate = nn.Linear(dim, experts, bias=False)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, 8), nn.ReLU(), nn.Linear(8, dim)) for _ in range(experts)]
        )
        self.k, self.normalize = k, normalize

    def forward(self, x):
        scores = self.gate(x).softmax(-1)
        weights, index = scores.topk(self.k, dim=-1)
        if self.normalize:
            weights = weights / weights.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            share = (weights * (index == i)).sum(-1, keepdim=True)
            out = out + share * expert(x)
        return out


class SparseExperts(nn.Module):
    """A loop over experts that gathers the tokens of each."""

    def __init__(self, dim=6, experts=3):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(experts)])

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        choice = self.gate(flat).argmax(-1)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            rows = torch.where(choice == i)[0]
            if rows.numel() > 0:
                out[rows] = expert(flat[rows])
        return out.view_as(x)


class Perceiver(nn.Module):
    """Latents that attend to an input with a mask, GEGLU, weights shared between layers."""

    def __init__(self, dim=6, latents=3, depth=2, share=True, heads=2):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, dim))
        make = lambda: nn.ModuleDict(
            {"q": nn.Linear(dim, dim), "kv": nn.Linear(dim, 2 * dim), "ff": nn.Linear(dim, 2 * dim)}
        )  # noqa: E731
        first = make()
        self.layers = nn.ModuleList([first if share else make() for _ in range(depth)])
        self.heads = heads

    def forward(self, x, mask=None):
        b = x.shape[0]
        h = self.latents.unsqueeze(0).repeat(b, 1, 1)
        for layer in self.layers:
            q, (k, v) = layer["q"](h), layer["kv"](x).chunk(2, -1)
            q, k, v = (t.reshape(b, t.shape[1], self.heads, -1).transpose(1, 2) for t in (q, k, v))
            sim = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
            if mask is not None:
                sim.masked_fill_(~mask[:, None, None, :], -torch.finfo(sim.dtype).max)
            h = h + (sim.softmax(-1) @ v).transpose(1, 2).reshape(b, -1, h.shape[-1])
            a, g = layer["ff"](h).chunk(2, dim=-1)
            h = h + a * F.gelu(g)
        return h


class Wave(nn.Module):
    """Dilated causal convolutions, gates, skips summed."""

    def __init__(self, c=4, layers=3, kernel=2):
        super().__init__()
        self.inp = nn.Conv1d(1, c, 1)
        self.dilated = nn.ModuleList([nn.Conv1d(c, 2 * c, kernel, dilation=2**i) for i in range(layers)])
        self.skip = nn.ModuleList([nn.Conv1d(c, c, 1) for _ in range(layers)])
        self.kernel = kernel

    def forward(self, x):
        h, total = self.inp(x), 0
        for i, (conv, skip) in enumerate(zip(self.dilated, self.skip, strict=True)):
            a, g = conv(F.pad(h, ((self.kernel - 1) * 2**i, 0))).chunk(2, 1)
            y = torch.tanh(a) * torch.sigmoid(g)
            total = total + skip(y)
            h = h + y
        return F.relu(total)


I3 = [{"x": "f 2 3 9 13"}]
ZOO = {
    "MiniGPT": {
        "seen": [{"idx": "i 2 7 17"}, {"idx": "i 2 7 17", "targets": "i 2 7 17"}],
        "unseen": [{"idx": "i 1 12 17"}, {"idx": "i 3 5 17", "targets": "i 3 5 17"}],
        "others": [{"bias": False}, {"tie": False}, {"heads": 2, "depth": 3}, {"most": 32}],
    },
    "PatchTransformer": {
        "seen": [{"img": "f 2 3 12 12"}],
        "unseen": [{"img": "f 1 3 8 12"}],
        "others": [{"pool": "mean"}, {"heads": 1, "dim_head": 12}, {"patch": 2}, {"dim_head": 6}],
    },
    "ResidualNet": {
        "seen": [{"x": "f 2 3 17 23"}],
        "unseen": [{"x": "f 1 3 32 20"}],
        "others": [{"layers": [2, 1]}, {"layers": [1, 1, 1]}, {"stem": "none"}, {"width": 6}],
    },
    "ConvNext": {
        "seen": [{"x": "f 2 3 9 13"}],
        "unseen": [{"x": "f 1 3 14 8"}],
        "others": [{"inplace": False}, {"scale": 0.0}, {"se": False}, {"kernel": 3}, {"depth": 1}],
    },
    "MiniUNet": {
        "seen": [{"x": "f 2 3 7 10", "t": "i 2 900"}],
        "unseen": [{"x": "f 1 3 8 6", "t": "i 1 900"}],
        "others": [{"attn_at": []}, {"mults": [1, 2, 3]}, {"out": 5}, {"groups": 1}],
    },
    "Mixer": {
        "seen": [{"x": "f 2 5 6"}],
        "unseen": [{"x": "f 3 5 6"}],
        "others": [{"expand": 1.5}, {"depth": 1}],
    },
    "StateSpace": {"seen": [{"x": "f 2 5 4"}], "unseen": [{"x": "f 1 9 4"}], "others": [{"state": 2, "kernel": 4}]},
    "MixtureOfExperts": {
        "seen": [{"x": "f 2 5 6"}],
        "unseen": [{"x": "f 1 9 6"}],
        "others": [{"normalize": False}, {"k": 1}, {"experts": 5}],
    },
    "SparseExperts": {"seen": [{"x": "f 2 5 6"}], "unseen": [{"x": "f 1 9 6"}], "others": [{"experts": 5}]},
    "Perceiver": {
        "seen": [{"x": "f 2 5 6"}, {"x": "f 2 5 6", "mask": "m 2 5"}],
        "unseen": [{"x": "f 3 9 6", "mask": "m 3 9"}],
        "others": [{"share": False}, {"latents": 5, "depth": 3}, {"heads": 3}],
    },
    "Wave": {"seen": [{"x": "f 2 1 17"}], "unseen": [{"x": "f 1 1 30"}], "others": [{"layers": 2}, {"kernel": 3}]},
}
