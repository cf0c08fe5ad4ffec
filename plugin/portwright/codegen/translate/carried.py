"""Small layers that MLX has no counterpart of, as the text that a port carries where it needs them."""

from __future__ import annotations

HARD_SIGMOID = """def hard_sigmoid(x):
    return mx.clip(x / 6 + 0.5, 0.0, 1.0)
"""

HARD_SIGMOID_LAYER = """class HardSigmoid(nn.Module):
    def __call__(self, x):
        return hard_sigmoid(x)
"""

SQRT_SOFTPLUS = """def sqrt_softplus(x):
    return mx.sqrt(nn.softplus(x))
"""

SQRT_SOFTPLUS_LAYER = """class SqrtSoftplus(nn.Module):
    def __call__(self, x):
        return sqrt_softplus(x)
"""

PADDED = '''def padded(layer, padding, mode):
    """A convolution that pads its input itself: mirrored, repeated at the border, in a circle, or with zeros.

    The padding "same" keeps lengths; what is odd of it goes behind.
    """

    class Padded(type(layer)):
        def __call__(self, x):
            return super().__call__(mx.pad(x, widths) if mode == "zeros" else pad_by_index(x, widths, mode))

    def per_axis(value):
        return (value,) * (layer.weight.ndim - 2) if isinstance(value, int) else tuple(value)

    if padding == "same":
        spans = [(k - 1) * d for k, d in zip(layer.weight.shape[1:-1], per_axis(layer.dilation))]
        pairs = [(span // 2, span - span // 2) for span in spans]
    else:
        pairs = [(p, p) for p in per_axis(padding)]
    widths = [(0, 0), *pairs, (0, 0)]
    layer.__class__ = Padded
    return layer
'''

PAD_BY_MODE = '''def pad_by_mode(x, widths, mode, value=0.0):
    """Pad each axis by (before, after), with one value or with the axis's own."""
    if mode == "constant":
        return mx.pad(x, widths, constant_values=value)
    return pad_by_index(x, widths, mode)
'''

PATCHES = '''def patch_places(kernel, dilation, stride, sizes):
    """For each axis and each place in the kernel, the slice of a padded picture that lies under it."""
    places = []
    for k, d, s, size in zip(kernel, dilation, stride, sizes):
        count = (size - d * (k - 1) - 1) // s + 1
        places.append([slice(i * d, i * d + s * (count - 1) + 1, s) for i in range(k)])
    return places
'''

NAMED_CHILDREN = '''def named_children(module):
    """The modules directly inside a module or a list of modules, and the lists of modules, by name."""

    def holds(x):
        return isinstance(x, nn.Module) or (isinstance(x, list) and len(x) > 0 and all(map(holds, x)))

    held = enumerate(module) if isinstance(module, list) else module.items()
    return [(name, x) for name, x in held if holds(x)]
'''

BOTH_AXES = """def both_axes(*values):
    return [(v, v) if isinstance(v, int) else tuple(v) for v in values]
"""

FOLD = '''def from_patches(x, size, kernel, dilation=1, padding=0, stride=1):
    """The picture that columns of patches add up to."""
    size, kernel, dilation, padding, stride = both_axes(size, kernel, dilation, padding, stride)
    padded = [n + 2 * p for n, p in zip(size, padding)]
    rows, columns = patch_places(kernel, dilation, stride, padded)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(padded, kernel, dilation, stride)]
    x = x.reshape(x.shape[0], -1, *kernel, *counts)
    out = mx.zeros((*x.shape[:2], *padded), dtype=x.dtype)
    for i, r in enumerate(rows):
        for j, c in enumerate(columns):
            out[:, :, r, c] = out[:, :, r, c] + x[:, :, i, j]
    return out[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]
'''

INNER_POOL = '''class InnerAvgPool2d(nn.AvgPool2d):
    """Averages that count only what is inside of the picture, not what pads it."""

    def __call__(self, x):
        return super().__call__(x) / super().__call__(mx.ones((1, *x.shape[1:3], 1), dtype=x.dtype))
'''

TRANSPOSED_WEIGHT = '''def transposed_weight(weight, groups):
    """The weight of a transposed convolution, (in, out / groups, ...), as (out, ..., in / groups)."""
    return mx.moveaxis(mx.unflatten(weight, 0, (groups, -1)), 1, -1).flatten(0, 1)
'''

CEIL_MAX_POOL = '''class CeilMaxPool2d(nn.Module):
    """The greatest value of windows of which the last may reach over the edge, if it begins inside."""

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        self.sizes = list(zip(*both_axes(kernel_size, stride or kernel_size, padding)))
        self.pool = nn.MaxPool2d(kernel_size, stride)

    def __call__(self, x):
        widths = [(0, 0)]
        for n, (k, s, p) in zip(x.shape[1:3], self.sizes):
            count = (n + 2 * p - k + s - 1) // s + 1
            count -= (count - 1) * s >= n + p
            widths.append((p, max((count - 1) * s + k - n - p, 0)))
        return self.pool(mx.pad(x, [*widths, (0, 0)], constant_values=-mx.inf))
'''

SNIPPETS = {
    "transposed_weight": TRANSPOSED_WEIGHT,
    "CeilMaxPool2d": CEIL_MAX_POOL,
    "InnerAvgPool2d": INNER_POOL,
    "hard_sigmoid": HARD_SIGMOID,
    "HardSigmoid": HARD_SIGMOID_LAYER,
    "sqrt_softplus": SQRT_SOFTPLUS,
    "SqrtSoftplus": SQRT_SOFTPLUS_LAYER,
    "padded": PADDED,
    "pad_by_mode": PAD_BY_MODE,
    "patch_places": PATCHES,
    "both_axes": BOTH_AXES,
    "named_children": NAMED_CHILDREN,
    "from_patches": FOLD,
}
# What a snippet needs before it.
NEEDS = {
    "CeilMaxPool2d": ("both_axes",),
    "padded": ("pad_by_index",),
    "pad_by_mode": ("pad_by_index",),
    "HardSigmoid": ("hard_sigmoid",),
    "SqrtSoftplus": ("sqrt_softplus",),
    "from_patches": ("patch_places", "both_axes"),
}
