"""Small modules about tensors: dtypes, rounding, masks, ties, views, axes, indexing."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class MaskedMean(nn.Module):
    def __init__(self, dim=8, eps=1e-6):
        super().__init__()
        self.proj = nn.Linear(dim, dim, bias=False)
        self.eps = eps

    def forward(self, x, mask=None):
        h = self.proj(x)
        if mask is None:
            return h.mean(dim=1)
        weights = mask.to(h.dtype).unsqueeze(-1)
        return (h * weights).sum(1) / weights.sum(1).clamp(min=self.eps)


class IntegerRounding(nn.Module):
    """Floor division and remainders of negative numbers, truncation, round half to even."""

    def __init__(self, step=3):
        super().__init__()
        self.step = step
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, ids, x):
        shifted = ids - 7
        a = shifted // self.step
        b = shifted % self.step
        c = torch.div(shifted, self.step, rounding_mode="trunc")
        d = torch.round(x * 4) / 4 + torch.trunc(x) + torch.floor(-x) + torch.ceil(x)
        e = torch.remainder(x, 1.5) + torch.fmod(x, 1.5)
        return a + b * 10 + c * 100, (d + e) * self.scale


class DtypeMix(nn.Module):
    """Booleans, integers and floats promote as torch does."""

    def __init__(self, dim=4):
        super().__init__()
        self.w = nn.Parameter(torch.randn(dim))

    def forward(self, x, ids):
        positive = x > 0
        count = positive.sum(-1)
        ratio = count / x.shape[-1]
        both = positive.float() * self.w + ids.unsqueeze(-1)
        half = ids / 2
        flags = (ids > 3) & positive.any(-1)
        return ratio + half, both, flags, count, ids * 2 + flags, ~flags


class HashBuckets(nn.Module):
    """int64 products that leave int32: a port on 32-bit integers must not answer."""

    def __init__(self, buckets=97):
        super().__init__()
        self.buckets = buckets
        self.table = nn.Embedding(buckets, 6)

    def forward(self, ids):
        hashed = (ids * 2654435761 + 40503) % self.buckets
        return self.table(hashed)


class Ties(nn.Module):
    """argmax, topk, sort and max of values that are equal."""

    def __init__(self, k=3):
        super().__init__()
        self.k = k
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        q = torch.round(x) + self.bias * 0
        values, _ = q.topk(self.k, dim=-1)
        first = q.argmax(dim=-1)
        ordered, index = torch.sort(q, dim=-1, descending=True, stable=True)
        top = q.max(dim=1).values
        return values, first, ordered, index, top, q.argmin(1, keepdim=True)


class TopK(nn.Module):
    """topk without ties: values, indices, smallest, another axis."""

    def __init__(self, k=2):
        super().__init__()
        self.k = k
        self.gate = nn.Linear(6, 6)

    def forward(self, x):
        logits = self.gate(x)
        v, i = torch.topk(logits, self.k, dim=-1)
        low = torch.topk(logits, self.k, dim=1, largest=False)
        picked = torch.gather(logits, -1, i)
        weights = v.softmax(-1)
        return v, i, low.values, low[1], picked, weights


class Scatter(nn.Module):
    def __init__(self, slots=5, dim=4):
        super().__init__()
        self.slots = slots
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, ids):
        h = self.proj(x)
        out = torch.zeros(h.shape[0], self.slots, h.shape[-1], dtype=h.dtype)
        out = out.scatter_add(1, ids.unsqueeze(-1).expand_as(h), h)
        one_hot = torch.zeros(*ids.shape, self.slots).scatter_(-1, ids.unsqueeze(-1), 1.0)
        return out, one_hot.sum(1)


class IndexAdd(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.base = nn.Parameter(torch.randn(6, dim))

    def forward(self, x, index):
        out = self.base.clone()
        out.index_add_(0, index, x)
        return out.index_select(0, index), out


class BoolMasks(nn.Module):
    def __init__(self, fill=-1e4):
        super().__init__()
        self.fill = fill
        self.w = nn.Parameter(torch.randn(1))

    def forward(self, x, mask):
        filled = x.masked_fill(~mask, self.fill)
        soft = filled.softmax(-1)
        kept = torch.where(mask, x, torch.zeros_like(x)) * self.w
        inverse = mask.logical_not().int() - (mask ^ mask.flip(-1)).long()
        return soft, kept, inverse, mask.all(-1), mask.any(dim=0, keepdim=True), (mask == 0).sum()


class InPlaceView(nn.Module):
    """Writes through a view reach the base."""

    def __init__(self, dim=6):
        super().__init__()
        self.w = nn.Parameter(torch.randn(dim))

    def forward(self, x):
        y = x.clone()
        row = y[:, 0]
        row.mul_(2.0)
        y[:, 1:].add_(1.0)
        return y * self.w


class InPlaceAlias(nn.Module):
    """Two names of one tensor: a change through one shows in the other."""

    def __init__(self, dim=6):
        super().__init__()
        self.w = nn.Parameter(torch.randn(dim))

    def forward(self, x):
        h = x * self.w
        residual = h
        h += 1.0
        h.relu_()
        return h + residual


class InPlaceArgument(nn.Module):
    """A helper that changes its argument in place."""

    def __init__(self, dim=6):
        super().__init__()
        self.w = nn.Parameter(torch.randn(dim))

    def double(self, t):
        t.mul_(2.0)

    def forward(self, x):
        h = x * self.w
        self.double(h)
        return h


class SliceAssign(nn.Module):
    def __init__(self, dim=6):
        super().__init__()
        self.w = nn.Parameter(torch.randn(dim))

    def forward(self, x):
        out = torch.zeros_like(x)
        out[..., ::2] = x[..., 1::2] * self.w[::2]
        out[..., 1::2] = -x[..., ::2]
        out[:, -1] = 3.0
        out[0, 0, 0] += 1.0
        return out


class NegativeAxes(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(1))

    def forward(self, x):
        a = x.transpose(-2, -1).sum(-1, keepdim=True)
        b = x.flatten(-2).unflatten(-1, (-1, 2))
        c = x.unsqueeze(-3).squeeze(1).movedim(0, -1).permute(-1, 0, 1)
        d = torch.stack([x, x * 2], dim=-2).amax(dim=(-1, -3))
        e = torch.cat((x, x.flip(-1)), dim=-1).narrow(-1, 1, 4).roll(1, -1)
        return a * self.w, b, c, d, e, x.var(-1), x.std(1, unbiased=False), x.norm(dim=-1), x.logsumexp(-1)


class UnevenChunks(nn.Module):
    def __init__(self, parts=3):
        super().__init__()
        self.parts = parts
        self.w = nn.Parameter(torch.randn(1))

    def forward(self, x):
        pieces = x.chunk(self.parts, dim=-1)
        head, tail = x.split([2, x.shape[-1] - 2], dim=-1)
        groups = x.split(3, dim=1)
        return pieces[0] * self.w, pieces[-1], head.sum(), tail, groups[-1], torch.cat([g.mean(1) for g in groups], -1)


class Cumulative(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(1))

    def forward(self, x, mask):
        positions = mask.long().cumsum(-1) - 1
        positions.masked_fill_(mask == 0, 1)
        decay = torch.exp(-x.abs().cumsum(1)) + (x.sigmoid() + 0.5).cumprod(-1)
        return positions, decay * self.w, torch.cummax(x, dim=1).values, x.diff(dim=1)


class Broadcasting(nn.Module):
    def __init__(self, heads=2):
        super().__init__()
        self.slopes = nn.Parameter(torch.randn(heads, 1, 1))

    def forward(self, x):
        n = x.size(1)
        distance = (torch.arange(n)[None, :] - torch.arange(n)[:, None]).abs()
        bias = -distance * self.slopes
        scores = torch.einsum("bid,bjd->bij", x, x)[:, None] + bias
        causal = torch.ones(n, n, dtype=torch.bool).tril()
        return scores.masked_fill(~causal, float("-inf")).softmax(-1), torch.triu(scores[0, 0], diagonal=1)


class Einsums(nn.Module):
    def __init__(self, dim=4, heads=2):
        super().__init__()
        self.w = nn.Parameter(torch.randn(heads, dim, 3))

    def forward(self, x):
        a = torch.einsum("b n d, h d e -> b h n e", x, self.w)
        b = torch.einsum("bhne,bhme->bhnm", a, a)
        c = torch.einsum("...d,...d->...", x, x)
        d = torch.einsum("bii->b", torch.matmul(x, x.mT))
        return a, b, c, d


class PaddingModes(nn.Module):
    def __init__(self, mode="reflect", pad=2):
        super().__init__()
        self.mode, self.pad = mode, pad
        self.conv = nn.Conv1d(3, 4, 3)

    def forward(self, x):
        y = F.pad(x, (self.pad, 1), mode=self.mode)
        return self.conv(y), F.pad(x, (0, 0, 1, -1), value=0.5)


class Interpolations(nn.Module):
    def __init__(self, mode="nearest"):
        super().__init__()
        self.mode = mode
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        h = self.conv(x)
        up = F.interpolate(h, scale_factor=2, mode=self.mode)
        to = F.interpolate(h, size=(5, 9), mode="bilinear", align_corners=False)
        return up, to


class Clamps(nn.Module):
    def __init__(self, low=-0.5, high=None):
        super().__init__()
        self.low, self.high = low, high
        self.w = nn.Parameter(torch.randn(1))

    def forward(self, x):
        y = x.clamp(self.low, self.high) if self.high is not None else x.clamp_min(self.low)
        return y * self.w, torch.minimum(x, x.mean()), x.clip(-1, 1).sign(), torch.maximum(x, torch.tensor(0.1))


class Norms(nn.Module):
    """Statistics by hand, biased and not."""

    def __init__(self, dim=6, unbiased=False, eps=1e-5):
        super().__init__()
        self.g = nn.Parameter(torch.randn(dim))
        self.unbiased, self.eps = unbiased, eps

    def forward(self, x):
        var = x.var(dim=-1, unbiased=self.unbiased, keepdim=True)
        y = (x - x.mean(-1, keepdim=True)) * (var + self.eps).rsqrt() * self.g
        return y, F.normalize(x, dim=1), x / x.norm(p=1, dim=-1, keepdim=True).clamp(min=1e-3)


class NonZero(nn.Module):
    """Data-dependent shapes."""

    def __init__(self, dim=4):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask):
        return self.proj(x[mask])


class Sinusoids(nn.Module):
    def __init__(self, dim=8, base=10000.0, flip=False):
        super().__init__()
        self.dim, self.base, self.flip = dim, base, flip
        self.proj = nn.Linear(dim, dim)

    def forward(self, t):
        half = self.dim // 2
        freqs = torch.exp(-math.log(self.base) * torch.arange(0, half, dtype=torch.float32) / half)
        args = t[:, None].float() * freqs[None]
        parts = [torch.cos(args), torch.sin(args)]
        emb = torch.cat(parts[::-1] if self.flip else parts, dim=-1)
        if self.dim % 2:
            emb = torch.cat([emb, torch.zeros_like(emb[:, :1])], dim=-1)
        return self.proj(emb)


class ComplexRotary(nn.Module):
    def __init__(self, dim=8, theta=100.0):
        super().__init__()
        freqs = 1.0 / (theta ** (torch.arange(0, dim, 2).float() / dim))
        self.register_buffer("freqs", freqs, persistent=False)

    def forward(self, x):
        t = torch.arange(x.shape[1], device=x.device).float()
        angles = torch.outer(t, self.freqs)
        rotation = torch.polar(torch.ones_like(angles), angles)
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * rotation).flatten(2).type_as(x)


class Bucketed(nn.Module):
    """T5's relative buckets: logarithms truncated to integers."""

    def __init__(self, buckets=8, most=20):
        super().__init__()
        self.buckets, self.most = buckets, most
        self.table = nn.Embedding(buckets, 2)

    def forward(self, x):
        n = x.shape[1]
        relative = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        half = self.buckets // 2
        side = (relative > 0).to(torch.long) * half
        distance = relative.abs()
        exact = half // 2
        large = exact + (torch.log(distance.float() / exact) / math.log(self.most / exact) * (half - exact)).to(
            torch.long
        )
        large = torch.min(large, torch.full_like(large, half - 1))
        return self.table(side + torch.where(distance < exact, distance, large)).permute(2, 0, 1)


X = "f 2 5 8"
ZOO = {
    "MaskedMean": {
        "seen": [{"x": X, "mask": "b 2 5"}, {"x": "f 1 4 8"}],
        "unseen": [{"x": "f 3 7 8", "mask": "b 3 7"}, {"x": "f 3 2 8"}],
        "others": [{"dim": 12, "eps": 0.5}],
        "inputs": [{"x": "f 3 7 12", "mask": "b 3 7"}],
    },
    "IntegerRounding": {
        "seen": [{"ids": "i 2 6 14", "x": "f 2 6"}],
        "unseen": [{"ids": "i 3 9 14", "x": "f 3 9"}],
        "others": [{"step": 4}],
    },
    "DtypeMix": {"seen": [{"x": "f 3 4", "ids": "i 3 9"}], "unseen": [{"x": "f 7 4", "ids": "i 7 9"}]},
    "HashBuckets": {"seen": [{"ids": "i 2 5 90"}], "unseen": [{"ids": "i 3 8 100000"}], "others": [{"buckets": 31}]},
    "Ties": {"seen": [{"x": "f 3 7"}], "unseen": [{"x": "f 5 11"}], "others": [{"k": 2}]},
    "TopK": {"seen": [{"x": "f 2 5 6"}], "unseen": [{"x": "f 3 9 6"}], "others": [{"k": 3}]},
    "Scatter": {
        "seen": [{"x": "f 2 6 4", "ids": "i 2 6 5"}],
        "unseen": [{"x": "f 3 9 4", "ids": "i 3 9 5"}],
        "others": [{"slots": 7}],
    },
    "IndexAdd": {"seen": [{"x": "f 3 4", "index": "i 3 6"}], "unseen": [{"x": "f 9 4", "index": "i 9 6"}]},
    "BoolMasks": {
        "seen": [{"x": "f 2 5", "mask": "b 2 5"}],
        "unseen": [{"x": "f 4 9", "mask": "b 4 9"}],
        "others": [{"fill": -2.0}],
    },
    "InPlaceView": {"seen": [{"x": "f 2 5 6"}], "unseen": [{"x": "f 3 7 6"}]},
    "InPlaceAlias": {"seen": [{"x": "f 2 6"}], "unseen": [{"x": "f 5 6"}]},
    "InPlaceArgument": {"seen": [{"x": "f 2 6"}], "unseen": [{"x": "f 5 6"}]},
    "SliceAssign": {"seen": [{"x": "f 2 5 6"}], "unseen": [{"x": "f 1 3 6"}]},
    "NegativeAxes": {"seen": [{"x": "f 2 3 4"}], "unseen": [{"x": "f 5 3 4"}, {"x": "f 2 7 4"}]},
    "UnevenChunks": {
        "seen": [{"x": "f 2 7 8"}],
        "unseen": [{"x": "f 2 5 10"}, {"x": "f 3 8 9"}],
        "others": [{"parts": 4}, {"parts": 2}],
    },
    "Cumulative": {"seen": [{"x": "f 2 5", "mask": "b 2 5"}], "unseen": [{"x": "f 3 9", "mask": "b 3 9"}]},
    "Broadcasting": {"seen": [{"x": "f 2 5 4"}], "unseen": [{"x": "f 3 9 4"}], "others": [{"heads": 3}]},
    "Einsums": {"seen": [{"x": "f 2 5 4"}], "unseen": [{"x": "f 3 7 4"}]},
    "PaddingModes": {
        "seen": [{"x": "f 2 3 9"}],
        "unseen": [{"x": "f 1 3 12"}],
        "others": [{"mode": "replicate"}, {"mode": "circular"}, {"mode": "constant"}, {"pad": 1}],
    },
    "Interpolations": {
        "seen": [{"x": "f 1 3 4 6"}],
        "unseen": [{"x": "f 2 3 5 3"}],
        "others": [{"mode": "bilinear"}, {"mode": "bicubic"}, {"mode": "nearest-exact"}],
    },
    "Clamps": {"seen": [{"x": "f 2 6"}], "unseen": [{"x": "f 5 3"}], "others": [{"high": 0.5}, {"low": 0.0}]},
    "Norms": {"seen": [{"x": "f 2 5 6"}], "unseen": [{"x": "f 3 2 6"}], "others": [{"unbiased": True}, {"eps": 0.5}]},
    "NonZero": {"seen": [{"x": "f 2 5 4", "mask": "b 2 5"}], "unseen": [{"x": "f 3 7 4", "mask": "b 3 7"}]},
    "Sinusoids": {
        "seen": [{"t": "i 3 50"}],
        "unseen": [{"t": "i 5 900"}],
        "others": [{"dim": 9}, {"flip": True}, {"base": 50.0}],
    },
    "ComplexRotary": {"seen": [{"x": "f 2 5 8"}], "unseen": [{"x": "f 1 9 8"}], "others": [{"theta": 7.0}]},
    "Bucketed": {"seen": [{"x": "f 2 9"}], "unseen": [{"x": "f 1 40"}], "others": [{"buckets": 12, "most": 30}]},
}
