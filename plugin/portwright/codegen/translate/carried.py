"""Small layers that MLX has no counterpart of, as the text that a port carries where it needs them."""

from __future__ import annotations

HARD_SIGMOID = """def hard_sigmoid(x):
    return mx.clip(x / 6 + 0.5, 0.0, 1.0)
"""

HARD_SIGMOID_LAYER = """class HardSigmoid(nn.Module):
    def __call__(self, x):
        return hard_sigmoid(x)
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

SNIPPETS = {"hard_sigmoid": HARD_SIGMOID, "HardSigmoid": HARD_SIGMOID_LAYER, "padded": PADDED}
NEEDS = {"padded": ("pad_by_index",), "HardSigmoid": ("hard_sigmoid",)}  # what a snippet needs before it
