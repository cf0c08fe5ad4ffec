"""Small modules about Python: branches, loops, arguments, classes, state."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F

Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Output:
    last: torch.Tensor
    pooled: torch.Tensor | None = None


class DataBranch(nn.Module):
    """A test on a tensor's value."""

    def __init__(self, dim=4):
        super().__init__()
        self.a, self.b = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x):
        if x.mean() > 10:
            return self.a(x)
        return self.b(x)


class DataBranchBoth(nn.Module):
    """A test on a tensor's value that runs see go both ways."""

    def __init__(self, dim=4):
        super().__init__()
        self.a, self.b = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x, flag):
        if flag.sum() > 2:
            h = self.a(x)
        else:
            h = self.b(x)
        return h * 2


class LengthBranch(nn.Module):
    """A branch on a length that only unseen inputs take."""

    def __init__(self, dim=4, limit=6):
        super().__init__()
        self.limit = limit
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        if x.shape[1] > self.limit:
            x = x[:, -self.limit :]
        h = self.proj(x)
        if h.shape[0] == 1:
            return h.squeeze(0)
        return h


class LengthLoop(nn.Module):
    """A recurrence over the length, with break and continue."""

    def __init__(self, dim=4, most=6):
        super().__init__()
        self.cell = nn.Linear(2 * dim, dim)
        self.most = most

    def forward(self, x):
        state = x.new_zeros(x.shape[0], x.shape[-1])
        outputs = []
        for t in range(x.shape[1]):
            if t == 1:
                continue
            if t >= self.most:
                break
            state = torch.tanh(self.cell(torch.cat([x[:, t], state], dim=-1)))
            outputs.append(state)
        return torch.stack(outputs, dim=1), state


class WhileHalving(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        n = 0
        while x.shape[1] > 1:
            x = self.proj(x[:, : x.shape[1] // 2 * 2].unflatten(1, (-1, 2)).mean(2))
            n += 1
        return x.squeeze(1) * n


class ForElse(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(dim, dim) for _ in range(3)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
            if x.shape[1] == 99:
                break
        else:
            x = x + 1
        return x


class Optionals(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.q, self.c = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x, context=None, scale: float = 2.0, mask=None):
        context = x if context is None else context
        scores = self.q(x) @ self.c(context).transpose(1, 2) * scale
        if mask is not None:
            scores = scores.masked_fill(mask[:, None] == 0, -1e9)
        return scores.softmax(-1) @ context


class MutableDefault(nn.Module):
    """State that grows between calls."""

    def __init__(self, dim=4):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.proj(x) * self.calls


class CachedMask(nn.Module):
    """A mask that is kept between calls and made anew for another length."""

    def __init__(self, dim=4):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.mask = None

    def get_mask(self, n):
        if self.mask is not None and self.mask.shape[-1] >= n:
            return self.mask[:n, :n]
        self.mask = torch.ones(n, n).tril()
        return self.mask

    def forward(self, x):
        return self.get_mask(x.shape[1]) @ self.proj(x)


class Buffers(nn.Module):
    """Persistent and other buffers, scalars, tied weights."""

    def __init__(self, vocab=11, dim=6, most=16):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=0)
        self.head = nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("positions", torch.arange(most).unsqueeze(0), persistent=False)
        self.register_buffer("table", torch.randn(most, dim))
        self.register_buffer("absent", None)
        self.temperature = nn.Parameter(torch.tensor(0.7))
        self.gain = nn.Parameter(torch.ones([]) * 2)

    def forward(self, ids):
        n = ids.size(1)
        h = self.embed(ids) + self.table[self.positions[:, :n]]
        if self.absent is not None:
            h = h + self.absent
        return self.head(h) / self.temperature.exp() * self.gain


class Heterogeneous(nn.Module):
    """A list of modules of several kinds, told apart by isinstance."""

    def __init__(self, dim=6, order=("linear", "act", "norm", "linear", "drop")):
        super().__init__()
        made = {"linear": lambda: nn.Linear(dim, dim), "act": nn.GELU, "norm": lambda: nn.LayerNorm(dim)}
        made["drop"] = lambda: nn.Dropout(0.1)
        self.layers = nn.ModuleList([made[o]() for o in order])

    def forward(self, x):
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                x = layer(x) + x
            else:
                x = layer(x)
        return x


class Closures(nn.Module):
    def __init__(self, dim=4, power=2):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.act = lambda t: F.relu(t) ** power
        self.scaled = partial(torch.mul, other=torch.tensor(0.5))

    def forward(self, x):
        bias = x.mean()

        def shift(t):
            return t - bias

        return self.act(self.proj(shift(x)))


class Base(nn.Module):
    factor = 2.0

    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.proj = nn.Linear(dim, dim)

    @property
    def scale(self):
        return self.dim**-0.5

    @staticmethod
    def shift(x, by=1):
        return torch.roll(x, by, dims=1)

    @classmethod
    def build(cls, dim):
        return cls(dim)

    def extra(self, x):
        return x

    def forward(self, x):
        return self.proj(self.extra(x)) * self.scale * self.factor


class Mixin:
    def extra(self, x):
        return super().extra(x) + self.shift(x, by=2)


class Child(Mixin, Base):
    factor = 3.0

    def forward(self, x, *args, **kwargs):
        return super().forward(x) - x


class Inheritance(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.child = Child(dim)
        self.base = Base.build(dim)

    def forward(self, x):
        return self.child(x, 1, flag=True) + self.base(x)


class StarArguments(nn.Module):
    def __init__(self, dim=4, **options):
        super().__init__()
        self.layers = nn.ModuleDict({k: nn.Linear(dim, dim) for k in ("q", "k", "v")})
        self.scale = options.get("scale", 1.0)

    def attend(self, q, k, v, *, scale=1.0, bias=None):
        scores = q @ k.transpose(-1, -2) * scale
        return (scores if bias is None else scores + bias).softmax(-1) @ v

    def forward(self, x, **kwargs):
        parts = {name: layer(x) for name, layer in self.layers.items()}
        return self.attend(*parts.values(), scale=self.scale, **kwargs)


class DictOutput(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, pool: bool = True):
        h = self.proj(x)
        out = OrderedDict(hidden=h)
        if pool:
            out["pooled"] = h.mean(1)
        return out


class DataclassOutput(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.inner = DictOutput(dim)
        self.proj = nn.Linear(dim, dim)

    def run(self, x):
        found = self.inner(x)
        return Output(last=found["hidden"], pooled=found["pooled"])

    def forward(self, x):
        out = self.run(x)
        pair = Pair(out.last, self.proj(out.pooled))
        return pair.first + pair.second[:, None]


class Hooks(nn.Module):
    """A forward hook that changes the output of a layer."""

    def __init__(self, dim=4):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.proj.register_forward_hook(lambda module, args, output: output * 3.0)

    def forward(self, x):
        return self.proj(x)


class EnumLoop(nn.Module):
    """zip, enumerate, reversed, skip connections by index."""

    def __init__(self, dims=(4, 6, 8), skip=(0, 2)):
        super().__init__()
        self.down = nn.ModuleList([nn.Linear(a, b) for a, b in zip(dims[:-1], dims[1:])])
        self.up = nn.ModuleList([nn.Linear(b, a) for a, b in reversed(list(zip(dims[:-1], dims[1:])))])
        self.skip = set(skip)

    def forward(self, x):
        skips = []
        for i, layer in enumerate(self.down):
            skips.append(x)
            x = torch.relu(layer(x)) if i % 2 == 0 else torch.tanh(layer(x))
        for i, (layer, skip) in enumerate(zip(self.up, skips[::-1])):
            x = layer(x)
            if i in self.skip:
                x = x + skip
        return x


class Flags(nn.Module):
    """A constructor full of options that the forward pass reads in several ways."""

    def __init__(self, dim=4, act="relu", norm="layer", residual=True, bias=None, depth=2, post=False, gate=0):
        super().__init__()
        self.act = getattr(F, act)
        self.norm = {"layer": nn.LayerNorm, "none": nn.Identity}[norm](dim)
        self.layers = nn.ModuleList(nn.Linear(dim, dim, bias=bias is not False) for _ in range(depth))
        self.residual = residual and depth > 1
        self.scale = 1.0 if bias is None else 0.5
        self.mode = "post" if post else "pre"
        if gate:
            self.gate = nn.Linear(dim, gate)

    def forward(self, x):
        for layer in self.layers:
            h = self.norm(x) if self.mode == "pre" else x
            h = self.act(layer(h)) * self.scale
            x = x + h if self.residual else h
        if hasattr(self, "gate"):
            x = x * self.gate(x).mean(-1, keepdim=True)
        return self.norm(x) if self.mode == "post" else x


class ActivationOptions(nn.Module):
    def __init__(self, dim=6, slope=0.01, alpha=1.0, approximate="none", high=6.0):
        super().__init__()
        self.a = nn.LeakyReLU(slope)
        self.b = nn.ELU(alpha)
        self.c = nn.GELU(approximate)
        self.d = nn.ReLU6()
        self.e = nn.Hardtanh(-1.0, high)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        h = self.proj(x) * 9
        return self.a(h), self.b(h), self.c(h), self.d(h), self.e(h)


class NoneReturning(nn.Module):
    """Tuples with Nones, results that are sometimes taken apart."""

    def __init__(self, dim=4, need=False):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.need = need

    def attend(self, x):
        w = (x @ x.transpose(1, 2)).softmax(-1)
        return self.proj(w @ x), (w if self.need else None)

    def forward(self, x):
        out = self.attend(x)
        h = out[0]
        if self.need:
            h = h + out[1].sum(-1, keepdim=True)
        return h


class Ternaries(nn.Module):
    def __init__(self, dim=4, causal=True, heads=2, kv=None, clip=0.0):
        super().__init__()
        self.heads, self.kv = heads, kv or heads
        self.causal, self.clip = causal, clip
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim // heads * self.kv)

    def forward(self, x):
        b, n, d = x.shape
        q = self.q(x).view(b, n, self.heads, -1).transpose(1, 2)
        k = self.k(x).view(b, n, self.kv, -1).transpose(1, 2)
        k = k if self.kv == self.heads else k.repeat_interleave(self.heads // self.kv, dim=1)
        s = q @ k.mT / (d // self.heads) ** 0.5
        s = s.clamp(-self.clip, self.clip) if self.clip else s
        s = s + torch.full((n, n), -1e9).triu(1) if self.causal else s
        return s.softmax(-1).transpose(1, 2).reshape(b, n, -1)


D = [{"x": "f 2 5 4"}]
ZOO = {
    "DataBranch": {"seen": D, "unseen": [{"x": "f 3 7 4"}, {"x": "f 2 5 4 +30"}]},
    "DataBranchBoth": {
        "seen": [{"x": "f 2 4", "flag": "ones 2"}, {"x": "f 2 4", "flag": "ones 5"}],
        "unseen": [{"x": "f 7 4", "flag": "ones 1"}, {"x": "f 7 4", "flag": "ones 9"}],
    },
    "LengthBranch": {
        "seen": D,
        "unseen": [{"x": "f 2 9 4"}, {"x": "f 1 5 4"}, {"x": "f 3 4 4"}],
        "others": [{"limit": 3}],
    },
    "LengthLoop": {"seen": D, "unseen": [{"x": "f 3 9 4"}, {"x": "f 1 1 4"}], "others": [{"most": 3}]},
    "WhileHalving": {"seen": D, "unseen": [{"x": "f 3 17 4"}, {"x": "f 3 1 4"}]},
    "ForElse": {"seen": D, "unseen": [{"x": "f 2 99 4"}]},
    "Optionals": {
        "seen": [{"x": "f 2 5 4"}, {"x": "f 2 5 4", "context": "f 2 3 4", "mask": "i 2 3 2"}],
        "unseen": [
            {"x": "f 2 5 4", "context": "f 2 7 4"},
            {"x": "f 1 4 4", "mask": "i 1 4 2"},
            {"x": "f 2 3 4", "scale": 0.5},
        ],
    },
    "MutableDefault": {"seen": D, "unseen": [{"x": "f 3 2 4"}]},
    "CachedMask": {"seen": D, "unseen": [{"x": "f 3 2 4"}, {"x": "f 3 9 4"}]},
    "Buffers": {
        "seen": [{"ids": "i 2 5 11"}],
        "unseen": [{"ids": "i 3 9 11"}],
        "others": [{"vocab": 13, "dim": 8, "most": 20}],
    },
    "Heterogeneous": {
        "seen": [{"x": "f 2 6"}],
        "unseen": [{"x": "f 5 6"}],
        "others": [{"order": ["norm", "linear", "linear", "act"]}, {"order": ["act"]}],
    },
    "Closures": {"seen": D, "unseen": [{"x": "f 3 2 4"}], "others": [{"power": 3}]},
    "Inheritance": {"seen": D, "unseen": [{"x": "f 3 7 4"}], "others": [{"dim": 6}], "inputs": [{"x": "f 3 7 6"}]},
    "StarArguments": {"seen": D, "unseen": [{"x": "f 3 7 4"}], "others": [{"scale": 0.1}]},
    "DictOutput": {"seen": D, "unseen": [{"x": "f 3 7 4"}, {"x": "f 3 7 4", "pool": False}]},
    "DataclassOutput": {"seen": D, "unseen": [{"x": "f 3 7 4"}]},
    "Hooks": {"seen": D, "unseen": [{"x": "f 3 7 4"}]},
    "EnumLoop": {
        "seen": D,
        "unseen": [{"x": "f 3 4"}],
        "others": [{"skip": []}, {"skip": [1]}, {"dims": [4, 6, 8, 10]}, {"dims": [4, 6]}],
    },
    "Flags": {
        "seen": D,
        "unseen": [{"x": "f 3 7 4"}],
        "others": [
            {"act": "gelu"},
            {"norm": "none"},
            {"residual": False},
            {"bias": False},
            {"bias": True},
            {"depth": 3},
            {"depth": 1},
            {"post": True},
            {"gate": 3},
        ],
    },
    "ActivationOptions": {
        "seen": [{"x": "f 3 6"}],
        "unseen": [{"x": "f 5 6"}],
        "others": [{"slope": 0.3}, {"alpha": 0.4}, {"approximate": "tanh"}, {"high": 2.0}],
    },
    "NoneReturning": {"seen": D, "unseen": [{"x": "f 3 7 4"}], "others": [{"need": True}]},
    "Ternaries": {
        "seen": D,
        "unseen": [{"x": "f 3 7 4"}],
        "others": [{"causal": False}, {"kv": 1}, {"clip": 0.3}, {"heads": 4}, {"heads": 1}],
    },
}
