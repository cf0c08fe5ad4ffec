"""What einops packs along one axis, as text that a port carries."""

from __future__ import annotations

PACK = '''def pack(tensors, axis, after):
    """Values joined along one axis, which stands for any number of theirs, and what that axis was in each."""
    shapes = [x.shape[axis : x.ndim - after] for x in tensors]
    flat = [x.reshape(*x.shape[:axis], -1, *x.shape[x.ndim - after :]) for x in tensors]
    return mx.concatenate(flat, axis=axis), shapes
'''
UNPACK = '''def unpack(x, shapes, axis):
    """What `pack` joined, apart again."""
    ends = [sum(math.prod(s) for s in shapes[:i]) for i in range(1, len(shapes))]
    parts = mx.split(x, ends, axis=axis)
    return [p.reshape(*p.shape[:axis], *s, *p.shape[axis + 1 :]) for p, s in zip(parts, shapes)]
'''
SNIPPETS = {"pack": PACK, "unpack": UNPACK}
IMPORTS = {"unpack": ("import math",)}
