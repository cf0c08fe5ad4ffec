"""Rows that MLX has no function for: sliding windows, sampling on a grid, buckets, linear systems, counted repeats.

Where a result's shape depends on values (repeats, masks), the port reads these back, as its reference does.
"""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, literal, quote
from portwright.codegen.translate.registry import Layout, Operation, row

WINDOWS = '''def sliding_windows(x, axis, size, step):
    """Every window of a size along an axis, `step` apart; the places in a window become the last axis."""
    axis %= x.ndim
    starts = mx.arange(0, x.shape[axis] - size + 1, step)
    taken = mx.take(x, starts[:, None] + mx.arange(size), axis=axis)
    return mx.moveaxis(taken, axis + 1, -1)
'''
REPEAT_EACH = '''def repeat_each(x, repeats, axis=0):
    """Each slice along an axis as often as its own count says."""
    counts = repeats.flatten().tolist() * (x.shape[axis] if repeats.size == 1 else 1)
    order = [i for i, n in enumerate(counts) for _ in range(int(n))]
    return mx.take(x, mx.array(order, dtype=mx.int32), axis=axis)
'''
POSITIONS = '''def true_positions(mask):
    """The places of what is not zero, row by row: (count, axes)."""
    flat = mx.array([i for i, v in enumerate(mask.flatten().tolist()) if v], dtype=mx.int32)
    places = []
    for size in reversed(mask.shape):
        places.insert(0, flat % size)
        flat = flat // size
    return mx.stack(places, axis=-1)
'''
SELECT = '''def where_true(x, mask):
    """The slices of x where a mask over its first axes is true."""
    flat = mx.array([i for i, v in enumerate(mask.flatten().tolist()) if v], dtype=mx.int32)
    return x.reshape(-1, *x.shape[mask.ndim :])[flat]
'''
IMAGE_WINDOWS = '''def image_windows(x, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of (batch, channels, rows, columns) as (batch, channels * window, windows)."""

    def pair(value):
        return (value, value) if isinstance(value, int) else tuple(value)

    sides = zip(pair(kernel_size), pair(dilation), pair(stride), pair(padding))
    x = mx.pad(x, [(0, 0), (0, 0), *[(p, p) for p in pair(padding)]])
    places = []
    for length, (size, spread, step, _) in zip(x.shape[2:], sides):
        starts = mx.arange(0, length - spread * (size - 1), step)
        places.append(mx.arange(size)[:, None] * spread + starts)
    rows, columns = places[0][:, None, :, None], places[1][None, :, None, :]
    return x[:, :, rows, columns].flatten(4).flatten(1, 3)
'''
GRID_SAMPLE = '''def sample_on_grid(x, grid, align_corners=False, border=False):
    """Bilinear samples of (batch, channels, rows, columns) at (batch, h, w, 2) places from -1 to 1."""
    batch, _, height, width = x.shape
    scale = mx.array([width, height])
    place = (grid + 1) / 2 * (scale - 1) if align_corners else ((grid + 1) * scale - 1) / 2
    if border:
        place = mx.clip(place, 0, scale - 1)
    first = mx.floor(place)
    rest = place - first
    total = 0
    for down in (0, 1):
        for right in (0, 1):
            column, line = first[..., 0] + right, first[..., 1] + down
            inside = (column >= 0) & (column < width) & (line >= 0) & (line < height)
            share = (rest[..., 0] if right else 1 - rest[..., 0]) * (rest[..., 1] if down else 1 - rest[..., 1])
            column = mx.clip(column.astype(mx.int32), 0, width - 1)  # whatever NaN becomes, it is a place inside
            line = mx.clip(line.astype(mx.int32), 0, height - 1)
            values = x.transpose(0, 2, 3, 1)[mx.arange(batch)[:, None, None], line, column]
            total = total + values * (share * inside)[..., None]
    return total.transpose(0, 3, 1, 2)
'''
CUBIC_ON_GRID = '''def cubic_on_grid(x, grid, align_corners=False, border=False):
    """Bicubic samples of (batch, channels, rows, columns) at (batch, h, w, 2) places from -1 to 1."""

    def shares(t, a=-0.75):
        """Of the four neighbours of a place that lies t beyond the second."""
        outer = [((a * v - 5 * a) * v + 8 * a) * v - 4 * a for v in (t + 1, 2 - t)]
        inner = [((a + 2) * v - (a + 3)) * v * v + 1 for v in (t, 1 - t)]
        return outer[0], *inner, outer[1]

    batch, _, height, width = x.shape
    scale = mx.array([width, height])
    place = (grid + 1) / 2 * (scale - 1) if align_corners else ((grid + 1) * scale - 1) / 2
    first = mx.floor(place)
    across, down = shares(place[..., 0] - first[..., 0]), shares(place[..., 1] - first[..., 1])
    total = 0
    for i in range(4):
        for j in range(4):
            line, column = first[..., 1] + i - 1, first[..., 0] + j - 1
            share = down[i] * across[j]
            if not border:
                share = share * ((column >= 0) & (column < width) & (line >= 0) & (line < height))
            column = mx.clip(column, 0, width - 1).astype(mx.int32)
            line = mx.clip(line, 0, height - 1).astype(mx.int32)
            values = x.transpose(0, 2, 3, 1)[mx.arange(batch)[:, None, None], line, column]
            total = total + values * share[..., None]
    return total.transpose(0, 3, 1, 2)
'''
SNIPPETS = {
    "cubic_on_grid": CUBIC_ON_GRID,
    "image_windows": IMAGE_WINDOWS,
    "sliding_windows": WINDOWS,
    "repeat_each": REPEAT_EACH,
    "true_positions": POSITIONS,
    "where_true": SELECT,
    "sample_on_grid": GRID_SAMPLE,
}


def carried(name: str, made: ast.expr) -> ast.expr:
    """A call of a helper that the port carries."""
    return ask(made, Demand("snippet", name))


@row("unfold", "input dimension size step")
def unfold(op: Operation) -> ast.expr:
    """The method of tensors; the function of images has other arguments."""
    return carried("sliding_windows", call("sliding_windows", op["input"], op["dimension"], op["size"], op["step"]))


@row("F.unfold", "input kernel_size dilation=1 padding=0 stride=1")
def image_windows(op: Operation) -> ast.expr:
    names = ("dilation", "padding", "stride")
    made = call("image_windows", op["input"], op["kernel_size"], **{n: op.args.get(n) for n in names})
    return carried("image_windows", made)


@row("F.fold", "input output_size kernel_size dilation=1 padding=0 stride=1")
def from_patches(op: Operation) -> ast.expr:
    """Patches added up into pictures."""
    if op.rank() != 3:
        raise HoleError(f"fold of a tensor of rank {op.rank()}")
    rest = {k: op.get(k) for k in ("dilation", "padding", "stride")}
    return carried("from_patches", call("from_patches", op["input"], op["output_size"], op["kernel_size"], **rest))


@row("grid_sample", "input grid mode='bilinear' padding_mode='zeros' align_corners=False")
def grid_sample(op: Operation) -> ast.expr:
    mode, padding = op.value("mode", "bilinear"), op.value("padding_mode", "zeros")
    if mode not in ("bilinear", "bicubic") or padding not in ("zeros", "border") or op.rank() != 4:
        raise HoleError(f"grid_sample with mode={mode!r}, padding_mode={padding!r}")
    corners = op.get("align_corners")
    name = "sample_on_grid" if mode == "bilinear" else "cubic_on_grid"
    made = call(name, op["input"], op["grid"], align_corners=corners)
    if padding == "border":
        made.keywords.append(ast.keyword("border", ast.Constant(True)))
    return carried(name, made)


@row("bucketize", "input boundaries out_int32=False right=False")
def bucketize(op: Operation) -> ast.expr:
    """How many boundaries lie below a value, or not above it."""
    return counted(op["boundaries"], op["input"], bool(op.value("right", False)))


@row("searchsorted", "sorted_sequence input out_int32=False right=False side=None sorter=None")
def searchsorted(op: Operation) -> ast.expr:
    if op.get("sorter") is not None:
        raise HoleError("searchsorted with a sorter")
    right = bool(op.value("right", False)) or op.value("side", None) == "right"
    return counted(op["sorted_sequence"], op["input"], right)


def counted(boundaries: ast.expr, values: ast.expr, right: bool) -> ast.expr:
    sign = "<=" if right else "<"
    return quote(f"mx.sum(b[..., None, :] {sign} x[..., None], axis=-1)", b=boundaries, x=values)


@row("vector_norm linalg_vector_norm", "input ord=2 dim=None keepdim=False dtype=None", Layout.AXIS)
def vector_norm(op: Operation) -> ast.expr:
    if op.value("ord", 2) != 2:
        raise HoleError(f"vector_norm with ord={op.value('ord')!r}")
    squares = call("mx.sum", quote("mx.square(x)", x=op["input"]), axis=op.axis(), keepdims=op.get("keepdim"))
    return call("mx.sqrt", squares)


@row("linalg_norm", "input ord=None dim=None keepdim=False dtype=None", Layout.AXIS)
def linalg_norm(op: Operation) -> ast.expr:
    """Of vectors along one axis; a norm of matrices is another one."""
    if not isinstance(op.value("dim"), int):
        raise HoleError("a norm of matrices")
    if op.value("ord") not in (None, 2):
        raise HoleError(f"norm with ord={op.value('ord')!r}")
    squares = call("mx.sum", quote("mx.square(x)", x=op["input"]), axis=op.axis(), keepdims=op.get("keepdim"))
    return call("mx.sqrt", squares)


@row("solve_triangular linalg_solve_triangular", "input B upper left=True unitriangular=False")
def solve_triangular(op: Operation) -> ast.expr:
    """A unit triangle's own diagonal is not read."""
    if not op.value("left", True):
        raise HoleError("solve_triangular from the right")
    matrix = op["input"]
    if op.value("unitriangular", False):
        matrix = quote("mx.where(mx.eye(a.shape[-1], dtype=mx.bool_), 1, a)", a=matrix)
    made = call("mx.linalg.solve_triangular", matrix, op["B"], upper=literal(bool(op.value("upper"))))
    made.keywords.append(ast.keyword("stream", quote("mx.cpu")))
    return made


@row("qr linalg_qr", "input mode='reduced'")
def orthogonal(op: Operation) -> ast.expr:
    """Both libraries take LAPACK's reflections, so that signs agree."""
    if op.value("mode", "reduced") != "reduced":
        raise HoleError(f"qr with mode={op.value('mode')!r}")
    return call("mx.linalg.qr", op["input"], stream=quote("mx.cpu"))


@row("diag_embed", "input offset=0 dim1=-2 dim2=-1")
def diagonal_matrices(op: Operation) -> ast.expr:
    if (op.value("offset", 0), op.value("dim1", -2), op.value("dim2", -1)) != (0, -2, -1):
        raise HoleError("diagonals off the middle, or on other axes than the last")
    return quote("x[..., None] * mx.eye(x.shape[-1], dtype=x.dtype)", x=op["input"])


@row("nonzero", "input as_tuple=False", Layout.OPAQUE)
def nonzero(op: Operation) -> ast.expr:
    made = carried("true_positions", call("true_positions", op["input"]))
    if not op.value("as_tuple", False):
        return made
    if op.rank() == 1:
        return quote("(p[:, 0],)", p=made)
    return quote("tuple(c.squeeze(1) for c in mx.split(p, n, axis=1))", p=made, n=literal(op.rank()))


@row("masked_select", "input mask")
def masked_select(op: Operation) -> ast.expr:
    shapes = op.scope.seen(op.raw["input"]).shapes, op.scope.seen(op.raw["mask"]).shapes
    mask = op["mask"] if shapes[0] == shapes[1] else quote("mx.broadcast_to(m, x.shape)", m=op["mask"], x=op["input"])
    return carried("where_true", call("where_true", op["input"], mask))
