"""Small modules about torch's layers and their options, on odd sizes."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Convolutions(nn.Module):
    def __init__(self, c=4, groups=1, dilation=1, stride=2, padding=1, mode="zeros", bias=True):
        super().__init__()
        options = {"groups": groups, "dilation": dilation, "stride": stride, "padding": padding, "padding_mode": mode}
        self.conv = nn.Conv2d(c, 2 * c, 3, bias=bias, **options)
        self.point = nn.Conv2d(2 * c, c, (1, 3), padding=(0, 1))

    def forward(self, x):
        return self.point(F.relu(self.conv(x)))


class Transposed(nn.Module):
    def __init__(self, c=4, stride=2, output_padding=1, padding=1, groups=1):
        super().__init__()
        self.up = nn.ConvTranspose2d(c, 6, 3, stride, padding, output_padding, groups)
        self.line = nn.ConvTranspose1d(6, 3, 4, stride=2, padding=1)

    def forward(self, x):
        h = self.up(x)
        return h, self.line(h.flatten(2))


class SamePadding(nn.Module):
    def __init__(self, c=3):
        super().__init__()
        self.conv = nn.Conv1d(c, c, 5, padding="same")

    def forward(self, x):
        return self.conv(x)


class Pools(nn.Module):
    def __init__(self, kernel=3, stride=2, padding=1, ceil_mode=True, include=False):
        super().__init__()
        self.max = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
        self.avg = nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil_mode, count_include_pad=include)
        self.scale = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        h = self.scale(x)
        return self.max(h), self.avg(h)


class PlainPools(nn.Module):
    def __init__(self, kernel=2):
        super().__init__()
        self.kernel = kernel
        self.scale = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        h = self.scale(x)
        return F.max_pool2d(h, self.kernel), F.avg_pool2d(h, self.kernel, stride=1), F.max_pool1d(h.flatten(2), 3, 2)


class Adaptive(nn.Module):
    def __init__(self, size=1):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(size)
        self.head = nn.Linear(4 * size * size, 5)

    def forward(self, x):
        return self.head(torch.flatten(self.pool(self.conv(x)), 1))


class ChannelNorms(nn.Module):
    def __init__(self, c=4, groups=2, affine=True, track=True, eps=1e-5):
        super().__init__()
        self.group = nn.GroupNorm(groups, c, eps=eps, affine=affine)
        self.batch = nn.BatchNorm2d(c, affine=affine, track_running_stats=track)
        self.instance = nn.InstanceNorm2d(c, affine=affine)
        self.conv = nn.Conv2d(c, c, 1)

    def forward(self, x):
        return self.instance(self.batch(self.group(self.conv(x))))


class LineNorms(nn.Module):
    def __init__(self, c=4, length=None):
        super().__init__()
        self.batch = nn.BatchNorm1d(c)
        self.group = nn.GroupNorm(1, c)
        self.layer = nn.LayerNorm([c, 3]) if length else nn.LayerNorm(c, elementwise_affine=False)
        self.rms = nn.RMSNorm(c)

    def forward(self, x):
        h = self.group(self.batch(x.transpose(1, 2))).transpose(1, 2)
        return self.layer(h) + self.rms(h)


class Recurrent(nn.Module):
    def __init__(self, dim=4, hidden=5, layers=1, bidirectional=False, batch_first=True):
        super().__init__()
        self.lstm = nn.LSTM(dim, hidden, layers, batch_first=batch_first, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), 3)

    def forward(self, x):
        out, (h, c) = self.lstm(x)
        return self.head(out), h, c


class Gru(nn.Module):
    def __init__(self, dim=4, hidden=5, layers=2):
        super().__init__()
        self.gru = nn.GRU(dim, hidden, layers, batch_first=True)

    def forward(self, x, h0=None):
        out, h = self.gru(x, h0)
        return out[:, -1], h


class Cells(nn.Module):
    def __init__(self, dim=4, hidden=5):
        super().__init__()
        self.cell = nn.GRUCell(dim, hidden)
        self.lstm = nn.LSTMCell(hidden, hidden)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], self.cell.hidden_size)
        state = (h, h)
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)
            state = self.lstm(h, state)
        return state[0]


class Attention(nn.Module):
    def __init__(self, dim=8, heads=2, bias=True, batch_first=True):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, bias=bias, batch_first=batch_first)

    def forward(self, x, padding=None):
        out, weights = self.attn(x, x, x, key_padding_mask=padding, need_weights=True)
        return out, weights


class CrossAttention(nn.Module):
    def __init__(self, dim=8, heads=2, kdim=6):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, kdim=kdim, vdim=kdim, batch_first=True)

    def forward(self, x, context):
        causal = torch.ones(x.shape[1], context.shape[1], dtype=torch.bool).triu(1)
        return self.attn(x, context, context, attn_mask=causal, need_weights=False)[0]


class Encoder(nn.Module):
    def __init__(self, dim=8, heads=2, layers=2, norm_first=False, activation="relu", final=True):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            dim, heads, 16, activation=activation, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(dim) if final else None)

    def forward(self, x, mask=None):
        return self.encoder(x, src_key_padding_mask=mask)


class DecoderLayer(nn.Module):
    def __init__(self, dim=8, heads=2):
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(dim, heads, 16, batch_first=True)

    def forward(self, x, memory):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layer(x, memory, tgt_mask=mask)


class Embeddings(nn.Module):
    def __init__(self, n=11, dim=4, mode="mean", padding_idx=0, max_norm=None):
        super().__init__()
        self.table = nn.Embedding(n, dim, padding_idx=padding_idx, max_norm=max_norm)
        self.bag = nn.EmbeddingBag(n, dim, mode=mode)

    def forward(self, ids):
        return self.table(ids).mean(1) + self.bag(ids)


class Functional(nn.Module):
    """Functional calls in keyword form."""

    def __init__(self, dim=6):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, dim))
        self.bias = nn.Parameter(torch.randn(dim))
        self.kernel = nn.Parameter(torch.randn(2, 3, 3))

    def forward(self, input, target=None):
        h = F.linear(input, weight=self.weight, bias=self.bias)
        h = F.layer_norm(input=h, normalized_shape=(h.shape[-1],), weight=self.bias, eps=1e-3)
        g = F.glu(h, dim=-1)
        c = F.conv1d(input=g, weight=self.kernel[:, :, :], padding=1) if g.shape[1] == 3 else g
        s = F.softmax(h, dim=-1, dtype=torch.float32) + F.log_softmax(input=h, dim=1)
        a = F.scaled_dot_product_attention(h[:, None], h[:, None], h[:, None], is_causal=True, scale=0.3)[:, 0]
        k = F.gelu(h, approximate="tanh") + F.softplus(h, beta=2.0, threshold=1.0) + F.leaky_relu(h, 0.3)
        return h, g, c, s, a, k + F.dropout(h, p=0.5, training=self.training) + F.hardtanh(h, -0.2, 0.2)


class Shuffles(nn.Module):
    def __init__(self, r=2):
        super().__init__()
        self.conv = nn.Conv2d(3, 3 * r * r, 3, padding=1)
        self.shuffle = nn.PixelShuffle(r)
        self.unshuffle = nn.PixelUnshuffle(r)
        self.up = nn.Upsample(scale_factor=r, mode="nearest")
        self.fold = nn.Unfold(3, padding=1)

    def forward(self, x):
        h = self.shuffle(self.conv(x))
        return self.unshuffle(h), self.up(x), self.fold(x)


class WeightNormed(nn.Module):
    def __init__(self, c=4):
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(c, c, 3, padding=1))

    def forward(self, x):
        return self.conv(x)


class Volume(nn.Module):
    def __init__(self, c=2):
        super().__init__()
        self.conv = nn.Conv3d(c, 4, (1, 3, 3), padding=(0, 1, 1))
        self.norm = nn.GroupNorm(2, 4)
        self.down = nn.Conv3d(4, 3, 2, stride=2)

    def forward(self, x):
        h = F.pad(self.norm(self.conv(x)), (0, 0, 0, 0, 1, 0), mode="replicate")
        return self.down(h)


class Bilinear(nn.Module):
    def __init__(self, a=3, b=4):
        super().__init__()
        self.mix = nn.Bilinear(a, b, 5)
        self.act = nn.PReLU()
        self.soft = nn.Softmax(dim=-1)

    def forward(self, x, y):
        return self.soft(self.act(self.mix(x, y)))


C = [{"x": "f 2 4 7 9"}]
C3 = [{"x": "f 2 3 7 9"}]
ZOO = {
    "Convolutions": {
        "seen": C,
        "unseen": [{"x": "f 1 4 8 5"}],
        "others": [{"groups": 2}, {"dilation": 2}, {"stride": 1}, {"padding": 0}, {"mode": "reflect"}, {"bias": False}],
    },
    "Transposed": {
        "seen": C,
        "unseen": [{"x": "f 1 4 4 5"}],
        "others": [{"output_padding": 0}, {"stride": 3}, {"groups": 2}],
    },
    "SamePadding": {"seen": [{"x": "f 2 3 9"}], "unseen": [{"x": "f 1 3 6"}]},
    "Pools": {
        "seen": C3,
        "unseen": [{"x": "f 1 3 8 6"}, {"x": "f 1 3 10 11"}],
        "others": [{"ceil_mode": False}, {"include": True}, {"padding": 0}, {"stride": 3}],
    },
    "PlainPools": {"seen": C3, "unseen": [{"x": "f 1 3 6 8"}], "others": [{"kernel": 3}]},
    "Adaptive": {"seen": C3, "unseen": [{"x": "f 1 3 6 8"}], "others": [{"size": 2}]},
    "ChannelNorms": {
        "seen": C,
        "unseen": [{"x": "f 3 4 5 2"}],
        "others": [{"groups": 4}, {"affine": False}, {"track": False}, {"eps": 0.5}],
    },
    "LineNorms": {"seen": [{"x": "f 2 3 4"}], "unseen": [{"x": "f 3 7 4"}]},
    "Recurrent": {
        "seen": [{"x": "f 2 5 4"}],
        "unseen": [{"x": "f 3 9 4"}],
        "others": [{"layers": 2}, {"bidirectional": True}, {"batch_first": False}, {"hidden": 7}],
    },
    "Gru": {"seen": [{"x": "f 2 5 4"}], "unseen": [{"x": "f 3 9 4"}], "others": [{"layers": 1}]},
    "Cells": {"seen": [{"x": "f 2 5 4"}], "unseen": [{"x": "f 3 9 4"}]},
    "Attention": {
        "seen": [{"x": "f 2 5 8"}, {"x": "f 2 5 8", "padding": "m 2 5"}],
        "unseen": [{"x": "f 3 9 8", "padding": "m 3 9"}],
        "others": [{"heads": 4}, {"bias": False}, {"batch_first": False}],
    },
    "CrossAttention": {
        "seen": [{"x": "f 2 5 8", "context": "f 2 7 6"}],
        "unseen": [{"x": "f 3 4 8", "context": "f 3 4 6"}],
    },
    "Encoder": {
        "seen": [{"x": "f 2 5 8"}, {"x": "f 2 5 8", "mask": "m 2 5"}],
        "unseen": [{"x": "f 3 9 8", "mask": "m 3 9"}],
        "others": [{"norm_first": True}, {"activation": "gelu"}, {"final": False}, {"layers": 3}],
    },
    "DecoderLayer": {
        "seen": [{"x": "f 2 5 8", "memory": "f 2 7 8"}],
        "unseen": [{"x": "f 3 9 8", "memory": "f 3 2 8"}],
    },
    "Embeddings": {
        "seen": [{"ids": "i 2 5 11"}],
        "unseen": [{"ids": "i 3 9 11"}],
        "others": [{"mode": "sum"}, {"mode": "max"}, {"max_norm": 0.5}],
    },
    "Functional": {"seen": [{"input": "f 2 3 6"}], "unseen": [{"input": "f 4 3 6"}, {"input": "f 4 5 6"}]},
    "Shuffles": {"seen": [{"x": "f 2 3 4 6"}], "unseen": [{"x": "f 1 3 5 3"}], "others": [{"r": 3}]},
    "WeightNormed": {"seen": [{"x": "f 2 4 7"}], "unseen": [{"x": "f 1 4 9"}]},
    "Volume": {"seen": [{"x": "f 1 2 3 6 7"}], "unseen": [{"x": "f 2 2 4 5 6"}]},
    "Bilinear": {"seen": [{"x": "f 2 3", "y": "f 2 4"}], "unseen": [{"x": "f 6 3", "y": "f 6 4"}]},
}
