"""Layers and functions that MLX has no counterpart of, as the text that a port carries where it needs them."""

from __future__ import annotations

from portwright.codegen.translate.attending import ATTENTION_SNIPPETS
from portwright.codegen.translate.carried import NEEDS as CARRIED_NEEDS
from portwright.codegen.translate.carried import SNIPPETS as CARRIED_SNIPPETS
from portwright.codegen.translate.exponential import EXPONENTIAL_IMPORTS, EXPONENTIAL_SNIPPETS
from portwright.codegen.translate.indexing import SNIPPETS as INDEX_SNIPPETS
from portwright.codegen.translate.losses import SNIPPETS as LOSS_SNIPPETS
from portwright.codegen.translate.mask_functions import IMPORTS as MASK_IMPORTS
from portwright.codegen.translate.mask_functions import SNIPPETS as MASK_SNIPPETS
from portwright.codegen.translate.packing import IMPORTS as PACKING_IMPORTS
from portwright.codegen.translate.packing import SNIPPETS as PACKING_SNIPPETS
from portwright.codegen.translate.pixels import SNIPPETS as PIXEL_SNIPPETS
from portwright.codegen.translate.recurrent import NEEDS as RECURRENT_NEEDS
from portwright.codegen.translate.recurrent import SNIPPETS as RECURRENT_SNIPPETS
from portwright.codegen.translate.scatter import NEEDS as SCATTER_NEEDS
from portwright.codegen.translate.scatter import SNIPPETS as SCATTER_SNIPPETS
from portwright.codegen.translate.shared_layers import SNIPPETS as SHARED_SNIPPETS
from portwright.codegen.translate.signals import IMPORTS as SIGNAL_IMPORTS
from portwright.codegen.translate.signals import NEEDS as SIGNAL_NEEDS
from portwright.codegen.translate.signals import SNIPPETS as SIGNAL_SNIPPETS
from portwright.codegen.translate.spectral import SNIPPETS as SPECTRAL_SNIPPETS
from portwright.codegen.translate.transformer import IMPORTS as TRANSFORMER_IMPORTS
from portwright.codegen.translate.transformer import NEEDS as TRANSFORMER_NEEDS
from portwright.codegen.translate.transformer import SNIPPETS as TRANSFORMER_SNIPPETS
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

WEIGHT_PARTS = '''def with_weight_parts(layer, axis):
    """Hold a layer's weight as a direction and a length for each slice along an axis, as its checkpoint does."""

    def lengths(direction):
        others = [i for i in range(direction.ndim) if i != axis % direction.ndim]
        return mx.sqrt(mx.sum(mx.square(direction), axis=others, keepdims=True))

    class WeightNorm(type(layer)):
        @property
        def weight(self):
            return self.weight_v * (self.weight_g / lengths(self.weight_v))

    layer.weight_v = layer.pop("weight")
    layer.weight_g = lengths(layer.weight_v)
    layer.__class__ = WeightNorm
    return layer
'''

GROUPED_TRANSPOSE = '''class GroupedConvTranspose1d(nn.ConvTranspose1d):
    """A transposed convolution whose channels are in groups; the weight is (out / groups, kernel, in)."""

    def __init__(self, in_channels, out_channels, kernel_size, groups=1, bias=True, **settings):
        super().__init__(in_channels, out_channels // groups, kernel_size, bias=False, **settings)
        self.groups = groups
        if bias:
            self.bias = mx.zeros((out_channels,))

    def __call__(self, x):
        parts = mx.unflatten(self.weight, -1, (self.groups, -1))
        weight = mx.moveaxis(parts, -2, 0).flatten(0, 1)
        settings = (self.stride, self.padding, self.dilation, self.output_padding, self.groups)
        y = mx.conv_transpose1d(x, weight, *settings)
        return y + self.bias if "bias" in self else y
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
        windows = weights.astype(x.dtype) @ x.reshape(*x.shape[:axis], length, -1)
        x = windows.reshape(*x.shape[:axis], size, *x.shape[axis + 1 :])
    return x
'''

PLAIN_RMS_NORM = '''class PlainRMSNorm(nn.Module):
    """An RMS norm without a weight."""

    def __init__(self, dims, eps):
        super().__init__()
        self.eps = eps

    def __call__(self, x):
        return mx.fast.rms_norm(x, None, self.eps)
'''

PRECISE_GROUP_NORM = '''class PreciseGroupNorm(nn.GroupNorm):
    """A group norm that averages axis by axis: one sum over a whole picture would cost float32 its last digits."""

    def average(self, x):
        for axis in (-1, *range(1, x.ndim - 2)):
            x = mx.mean(x, axis=axis, keepdims=True)
        return x

    def __call__(self, x):
        y = x.astype(mx.float32).reshape(*x.shape[:-1], self.num_groups, -1)
        y = y - self.average(y)
        y = y * mx.rsqrt(self.average(mx.square(y)) + self.eps)
        y = y.reshape(x.shape).astype(x.dtype)
        return self.weight * y + self.bias if "weight" in self else y
'''

PAD_SEQUENCE = '''def pad_sequence(sequences, value=0):
    """Arrays of several lengths as one, each filled up at its end."""
    longest = max(x.shape[0] for x in sequences)
    pads = [[(0, longest - x.shape[0]), *[(0, 0)] * (x.ndim - 1)] for x in sequences]
    return mx.stack([mx.pad(x, pad, constant_values=value) for x, pad in zip(sequences, pads)])
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

ADAPTIVE_MAXIMUM = '''def adaptive_maximum(x, axes, sizes):
    """The greatest value of as many windows along each axis as its size says; windows may overlap."""
    for axis, size in zip(axes, sizes):
        length = x.shape[axis]
        if size is None or size == length:
            continue
        places, inputs = mx.arange(size)[:, None], mx.arange(length)
        inside = (inputs >= places * length // size) & (inputs < -(-(places + 1) * length // size))
        spread = mx.where(inside, mx.moveaxis(x, axis, -1)[..., None, :], -mx.inf)
        x = mx.moveaxis(mx.max(spread, axis=-1).astype(x.dtype), -1, axis)
    return x
'''

BATCH_NORM_3D = '''class BatchNorm3d(nn.BatchNorm):
    """Batch norm of a channels-last volume, which MLX takes as a picture."""

    def __call__(self, x):
        return super().__call__(x.flatten(1, -2)).reshape(x.shape)
'''

COMPUTE_DTYPE = '''def compute_dtype(layer):
    """The dtype that a layer computes in; the weight of a quantized one is whole numbers."""
    return layer.scales.dtype if "scales" in layer else layer.weight.dtype
'''

SNIPPETS = {
    "compute_dtype": COMPUTE_DTYPE,
    **ATTENTION_SNIPPETS,
    **EXPONENTIAL_SNIPPETS,
    **WINDOW_SNIPPETS,
    **CARRIED_SNIPPETS,
    **RECURRENT_SNIPPETS,
    **TRANSFORMER_SNIPPETS,
    **SCATTER_SNIPPETS,
    **INDEX_SNIPPETS,
    **PACKING_SNIPPETS,
    **PIXEL_SNIPPETS,
    **SHARED_SNIPPETS,
    **SPECTRAL_SNIPPETS,
    **MASK_SNIPPETS,
    **SIGNAL_SNIPPETS,
    **LOSS_SNIPPETS,
    "PlainRMSNorm": PLAIN_RMS_NORM,
    "PreciseGroupNorm": PRECISE_GROUP_NORM,
    "CeilAvgPool2d": CEIL_POOL,
    "pad_sequence": PAD_SEQUENCE,
    "with_weight_norm": WEIGHT_NORM,
    "with_weight_parts": WEIGHT_PARTS,
    "GroupedConvTranspose1d": GROUPED_TRANSPOSE,
    "pad_by_index": PAD_BY_INDEX,
    "resample": RESIZE,
    "adaptive_average": ADAPTIVE_AVERAGE,
    "adaptive_maximum": ADAPTIVE_MAXIMUM,
    "BatchNorm3d": BATCH_NORM_3D,
}
# What a snippet needs before it.
NEEDS = {**CARRIED_NEEDS, **RECURRENT_NEEDS, **TRANSFORMER_NEEDS, **SCATTER_NEEDS, **SIGNAL_NEEDS}
NEEDS |= {"masks_by_kind": ("make_causal_mask",)}
# What a snippet imports.
IMPORTS = {"resample": ("import math",), **TRANSFORMER_IMPORTS, **PACKING_IMPORTS, **MASK_IMPORTS, **SIGNAL_IMPORTS}
IMPORTS |= EXPONENTIAL_IMPORTS
