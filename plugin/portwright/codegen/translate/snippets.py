"""Layers and functions that MLX has no counterpart of, as the text that a port carries where it needs them."""

from __future__ import annotations

from portwright.codegen.translate.scatter import NEEDS as SCATTER_NEEDS
from portwright.codegen.translate.scatter import SNIPPETS as SCATTER_SNIPPETS
from portwright.codegen.translate.windows import SNIPPETS as WINDOW_SNIPPETS

WEIGHT_NORM = '''def with_weight_norm(layer, axis):
    """Hold a layer's weight as a direction and a length for each slice along an axis, as its checkpoint does."""

    def lengths(direction):
        others = [i for i in range(direction.ndim) if i != axis % direction.ndim]
        return mx.sqrt(mx.sum(mx.square(direction), axis=others, keepdims=True))

    class WeightNorm(type(layer)):
        @property
        def weight(self):
            length, direction = (self.parametrizations["weight"][k] for k in ("original0", "original1"))
            return direction * (length / lengths(direction))

    direction = layer.pop("weight")
    layer.parametrizations = {"weight": {"original0": lengths(direction), "original1": direction}}
    layer.__class__ = WeightNorm
    return layer
'''

RECURRENT = '''class Recurrent(nn.Module):
    """Layers of a recurrent cell in one or both directions; the weights are named and laid out as in torch."""

    gates = 1

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, bidirectional=False):
        super().__init__()
        self.hidden_size, self.num_layers, self.batch_first = hidden_size, num_layers, batch_first
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(self.suffixes)
            for suffix in self.suffixes:
                self[f"weight_ih_l{layer}{suffix}"] = mx.zeros((rows, width))
                self[f"weight_hh_l{layer}{suffix}"] = mx.zeros((rows, hidden_size))
                if bias:
                    self[f"bias_ih_l{layer}{suffix}"] = mx.zeros((rows,))
                    self[f"bias_hh_l{layer}{suffix}"] = mx.zeros((rows,))

    def affine(self, kind, name, x):
        y = x @ self[f"weight_{kind}_{name}"].T
        return y + self[f"bias_{kind}_{name}"] if f"bias_{kind}_{name}" in self else y

    def direction(self, x, name, state):
        """One layer along (length, batch, width); every step's output, and the last state."""
        given = self.affine("ih", name, x)
        steps = range(x.shape[0])
        outputs = [None] * x.shape[0]
        for i in reversed(steps) if name.endswith("_reverse") else steps:
            state = self.step(given[i], self.affine("hh", name, state[0]), state)
            outputs[i] = state[0]
        return mx.stack(outputs), state

    def __call__(self, x, state=None):
        x = x.swapaxes(0, 1) if self.batch_first else x
        names = [f"l{layer}{suffix}" for layer in range(self.num_layers) for suffix in self.suffixes]
        if state is None:
            zeros = mx.zeros((len(names), x.shape[1], self.hidden_size), dtype=x.dtype)
            state = (zeros,) * self.states
        elif self.states == 1:
            state = (state,)
        last = []
        for first in range(0, len(names), len(self.suffixes)):
            both = []
            for place in range(first, first + len(self.suffixes)):
                output, end = self.direction(x, names[place], tuple(s[place] for s in state))
                both.append(output)
                last.append(end)
            x = mx.concatenate(both, axis=-1)
        ends = tuple(mx.stack([s[i] for s in last]) for i in range(self.states))
        return x.swapaxes(0, 1) if self.batch_first else x, ends if self.states > 1 else ends[0]
'''

LSTM = """class LSTM(Recurrent):
    gates, states = 4, 2

    def step(self, given, kept, state):
        i, f, g, o = mx.split(given + kept, 4, axis=-1)
        cell = mx.sigmoid(f) * state[1] + mx.sigmoid(i) * mx.tanh(g)
        return mx.sigmoid(o) * mx.tanh(cell), cell
"""

GRU = """class GRU(Recurrent):
    gates, states = 3, 1

    def step(self, given, kept, state):
        (r, z, n), (kept_r, kept_z, kept_n) = mx.split(given, 3, axis=-1), mx.split(kept, 3, axis=-1)
        z = mx.sigmoid(z + kept_z)
        n = mx.tanh(n + mx.sigmoid(r + kept_r) * kept_n)
        return ((1 - z) * n + z * state[0],)
"""

ATTENTION = '''class MultiheadAttention(nn.Module):
    """Attention with its projections; gives the output and the weights, the mean over heads."""

    def __init__(self, embed_dim, num_heads, bias=True, batch_first=False):
        super().__init__()
        self.num_heads, self.batch_first = num_heads, batch_first
        self.in_proj_weight = mx.zeros((3 * embed_dim, embed_dim))
        if bias:
            self.in_proj_bias = mx.zeros((3 * embed_dim,))
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)

    def __call__(self, query, key, value, key_padding_mask=None, attn_mask=None):
        weights = mx.split(self.in_proj_weight, 3)
        biases = mx.split(self.in_proj_bias, 3) if "in_proj_bias" in self else (0, 0, 0)

        def heads(x, weight, bias):
            x = x if self.batch_first else x.swapaxes(0, 1)
            x = x @ weight.T + bias
            return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(0, 2, 1, 3)

        q, k, v = (heads(x, w, b) for x, w, b in zip((query, key, value), weights, biases))
        scores = (q * q.shape[-1] ** -0.5) @ k.swapaxes(-1, -2)

        def masked(scores, mask):
            if mask.dtype == mx.bool_:
                return mx.where(mask, -mx.inf, scores)
            return scores + mask

        if attn_mask is not None:
            mask = attn_mask if attn_mask.ndim == 2 else attn_mask.reshape(-1, self.num_heads, *attn_mask.shape[1:])
            scores = masked(scores, mask)
        if key_padding_mask is not None:
            scores = masked(scores, key_padding_mask[:, None, None, :])
        weights = mx.softmax(scores, axis=-1)
        y = (weights @ v).transpose(0, 2, 1, 3).flatten(2)
        y = self.out_proj(y if self.batch_first else y.swapaxes(0, 1))
        return y, weights.mean(axis=1)
'''

PAD_BY_INDEX = '''def pad_by_index(x, widths, mode):
    """Pad each axis by (before, after) with the axis's own values: mirrored, repeated at the border, or in a circle."""
    for axis, (before, after) in enumerate(widths):
        length = x.shape[axis]
        index = mx.arange(-int(before), length + int(after))
        if mode == "reflect":
            index = length - 1 - mx.abs(length - 1 - mx.abs(index))
        elif mode == "circular":
            index = index % length
        else:
            index = mx.clip(index, 0, length - 1)
        x = mx.take(x, index, axis=axis) if before or after else x
    return x
'''

RESIZE = '''def resample(x, axes, sizes=None, scales=None, mode="linear", align_corners=False, antialias=False):
    """Resample axes to sizes, or by scales, as torch's interpolate does."""

    def cubic(t, a):
        t = mx.abs(t)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        return mx.where(t < 1, near, mx.where(t < 2, (((t - 5) * t + 8) * t - 4) * a, 0.0))

    def matrix(length, size, step):
        """The weight of each of `length` values in each of `size` results."""
        places = mx.arange(size, dtype=mx.float32)
        inputs = mx.arange(length)
        if antialias:
            centers = (step * (places + 0.5))[:, None]
            wide = max(step, 1.0)
            reach = (2 if mode == "cubic" else 1) * wide
            low = mx.maximum(mx.floor(centers - reach + 0.5), 0)
            high = mx.minimum(mx.floor(centers + reach + 0.5), length)
            t = (inputs - centers + 0.5) / wide
            weights = cubic(t, -0.5) if mode == "cubic" else mx.maximum(1 - mx.abs(t), 0)
            weights = mx.where((inputs >= low) & (inputs < high), weights, 0.0)
            return weights / weights.sum(axis=1, keepdims=True)
        places = places * step if align_corners else (places + 0.5) * step - 0.5
        if mode == "linear":
            places = mx.maximum(places, 0)
        first = mx.floor(places)
        rest = places - first
        taps = range(-1, 3) if mode == "cubic" else range(2)
        weights = mx.zeros((size, length))
        for tap in taps:
            share = cubic(rest - tap, -0.75) if mode == "cubic" else mx.maximum(1 - mx.abs(rest - tap), 0)
            index = mx.clip(first + tap, 0, length - 1)
            weights = weights + mx.where(inputs == index[:, None], share[:, None], 0.0)
        return weights

    for i, axis in enumerate(axes):
        length = x.shape[axis]
        size = int(sizes[i]) if sizes is not None else math.floor(length * scales[i])
        step = length / size if sizes is not None or scales is None else 1 / scales[i]
        if align_corners:
            step = (length - 1) / (size - 1) if size > 1 else 0.0
        if mode.startswith("nearest"):
            half = 0.5 if mode == "nearest-exact" else 0.0
            index = mx.floor((mx.arange(size, dtype=mx.float32) + half) * step).astype(mx.int32)
            x = mx.take(x, mx.minimum(index, length - 1), axis=axis)
        elif size != length or step != 1.0:
            weights = matrix(length, size, step).astype(x.dtype)
            x = mx.moveaxis(mx.moveaxis(x, axis, -1) @ weights.T, -1, axis)
    return x
'''

ADAPTIVE_AVERAGE = '''def adaptive_average(x, axes, sizes):
    """Average each axis over as many windows as its size says; windows of uneven widths may overlap."""
    for axis, size in zip(axes, sizes):
        length = x.shape[axis]
        if size is None or size == length:
            continue
        places, inputs = mx.arange(size)[:, None], mx.arange(length)
        low, high = places * length // size, -(-(places + 1) * length // size)
        weights = ((inputs >= low) & (inputs < high)) / (high - low)
        x = mx.moveaxis(mx.moveaxis(x, axis, -1) @ weights.astype(x.dtype).T, -1, axis)
    return x
'''

WINDOW_MASK = '''def make_window_mask(inputs_embeds, window, attention_mask=None):
    """An additive mask: a token sees those at most `window` away on either side, and no padding."""
    places = mx.arange(inputs_embeds.shape[1])
    mask = (mx.abs(places[:, None] - places) <= window)[None, None]
    if attention_mask is not None:
        mask = mask & (attention_mask[:, None, None, :] != 0)
    dtype = inputs_embeds.dtype
    return mx.where(mask, 0.0, mx.finfo(dtype).min).astype(dtype)
'''

PLAIN_RMS_NORM = '''class PlainRMSNorm(nn.Module):
    """An RMS norm without a weight."""

    def __init__(self, dims, eps):
        super().__init__()
        self.eps = eps

    def __call__(self, x):
        return mx.fast.rms_norm(x, None, self.eps)
'''

CEIL_POOL = '''class CeilAvgPool2d(nn.Module):
    """Averages over windows of which the last may reach over the edge; only what is inside counts there."""

    def __init__(self, kernel_size, stride=None):
        super().__init__()
        self.kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        stride = stride or self.kernel
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        self.pool = nn.AvgPool2d(self.kernel, self.stride)

    def __call__(self, x):
        over = [-(n - k) % s for n, k, s in zip(x.shape[1:3], self.kernel, self.stride)]
        pads = [(0, 0), *[(0, o if o < k else 0) for o, k in zip(over, self.kernel)], (0, 0)]
        inside = mx.pad(mx.ones((1, *x.shape[1:3], 1), dtype=x.dtype), pads)
        return self.pool(mx.pad(x, pads)) / self.pool(inside)
'''

ZERO_PAD = '''class ZeroPad2d(nn.Module):
    """Zeros around a channels-last picture: left, right, above and below, or one width for all."""

    def __init__(self, padding):
        super().__init__()
        self.padding = (padding,) * 4 if isinstance(padding, int) else tuple(padding)

    def __call__(self, x):
        left, right, above, below = self.padding
        return mx.pad(x, [(0, 0), (above, below), (left, right), (0, 0)])
'''

SNIPPETS = {
    **WINDOW_SNIPPETS,
    **SCATTER_SNIPPETS,
    "ZeroPad2d": ZERO_PAD,
    "PlainRMSNorm": PLAIN_RMS_NORM,
    "CeilAvgPool2d": CEIL_POOL,
    "make_window_mask": WINDOW_MASK,
    "with_weight_norm": WEIGHT_NORM,
    "Recurrent": RECURRENT,
    "LSTM": LSTM,
    "GRU": GRU,
    "MultiheadAttention": ATTENTION,
    "pad_by_index": PAD_BY_INDEX,
    "resample": RESIZE,
    "adaptive_average": ADAPTIVE_AVERAGE,
}
# What a snippet needs before it.
NEEDS = {"LSTM": ("Recurrent",), "GRU": ("Recurrent",), **SCATTER_NEEDS}
# What a snippet imports.
IMPORTS = {"resample": ("import math",)}
