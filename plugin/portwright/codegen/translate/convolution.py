"""Convolutions as functions, padding, pooling, resampling."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import last_axis, to_first, to_last
from portwright.codegen.quote import call, is_literal, literal, plain, quote
from portwright.codegen.translate.registry import Layout, Operation, row

MODES = {"constant", "replicate", "reflect", "circular"}


@row("pad", "input pad mode='constant' value=None", Layout.AWARE)
def pad(op: Operation) -> ast.expr:
    """Padding in the input's layout; the result may have to be held in another."""
    made = padding_of(op)
    if op.is_last() == op.scope.is_last(op.node):
        return made
    return outward(op, made) if op.is_last() else to_last(made, op.rank())


def padding_of(op: Operation) -> ast.expr:
    """torch gives pairs from the last axis backwards; MLX one pair per axis."""
    modes = {plain(op.args["mode"])} if "mode" in op.args and is_literal(op.args["mode"]) else set()
    modes = modes or set(op.scope.seen(op.raw.get("mode")).consts) or {"constant"}
    several = len(modes) > 1 and modes <= MODES
    mode = "several" if several else op.value("mode", "constant")
    if not several and mode not in MODES:
        raise HoleError(f"padding of mode {mode}")
    items = op.scope.seen(op.raw["pad"]).items
    cuts = not is_literal(op["pad"]) and any(isinstance(i, int) and i < 0 for i in items)
    if cuts and (op.is_last() or mode != "constant"):
        raise HoleError("negative padding by computed widths, channels-last or of another mode")
    if cuts or (op.scope.rank(op.raw["input"]) is None and not op.is_last() and mode == "constant"):
        value = op.args.get("value")
        padded = call("pad_from_last", op["input"], op["pad"], *([value] if value is not None and plain(value) else []))
        return ask(padded, Demand("snippet", "pad_from_last"))
    rank = op.rank()
    widths: list[ast.expr] = [literal((0, 0)) for _ in range(rank)]
    given = written_out(op)
    count = len(given.elts) if isinstance(given, (ast.Tuple, ast.List)) else 0
    if not count:
        lens = op.scope.seen(op.raw["pad"]).lens
        if len(lens) != 1:
            raise HoleError("padding of a varying number of axes")
        count = next(iter(lens))
    for i in range(count // 2):
        place = rank - 1 - i
        if op.is_last():
            place = last_axis(place, rank)
        if isinstance(given, (ast.Tuple, ast.List)):
            pair: ast.expr = ast.Tuple([width(op, given.elts[j], j) for j in (2 * i, 2 * i + 1)], ast.Load())
        else:
            text = "(p[i], p[j])" if not held_tensors(op) else "(int(p[i]), int(p[j]))"
            pair = quote(text, p=given, i=literal(2 * i), j=literal(2 * i + 1))
        widths[place] = pair
    if any(min(plain(w)) < 0 for w in widths if is_literal(w)):
        return cropped(op, widths, mode)
    made = ast.List(widths, ast.Load())
    if several:
        value = op.get("value")
        shown = value if value is not None and plain(value) != 0 else None
        padded = call("pad_by_mode", op["input"], made, op["mode"], **({"value": shown} if shown is not None else {}))
        return ask(padded, Demand("snippet", "pad_by_mode"))
    if mode in ("reflect", "circular"):
        padded = call("pad_by_index", op["input"], made, ast.Constant(mode))
        return ask(padded, Demand("snippet", "pad_by_index"))
    if mode == "replicate":
        return quote('mx.pad(x, w, mode="edge")', x=op["input"], w=made)
    value = op.get("value")
    if value is None or plain(value) == 0:
        return quote("mx.pad(x, w)", x=op["input"], w=made)
    return quote("mx.pad(x, w, constant_values=v)", x=op["input"], w=made, v=value)


def written_out(op: Operation) -> ast.expr:
    """The widths; `(*pads, 0, 0)` with each of the pads by itself."""
    given, raw = op["pad"], op.raw["pad"]
    if not (isinstance(given, (ast.Tuple, ast.List)) and isinstance(raw, (ast.Tuple, ast.List))):
        return given
    elements: list[ast.expr] = []
    for source, made in zip(raw.elts, given.elts, strict=True):
        if not isinstance(source, ast.Starred) or not isinstance(made, ast.Starred):
            elements.append(made)
            continue
        lens = op.scope.seen(source.value).lens
        if len(lens) != 1 or op.scope.kinds(source.value) & {"tensor"}:
            raise HoleError("padding of a varying number of axes")
        elements += [quote("p[i]", p=made.value, i=literal(i)) for i in range(next(iter(lens)))]
    return ast.Tuple(elements, ast.Load())


def cropped(op: Operation, widths: list[ast.expr], mode: str) -> ast.expr:
    """Negative widths cut, after what is positive was added."""
    if mode != "constant" or not all(is_literal(w) for w in widths):
        raise HoleError("negative padding of another mode, or by computed widths")
    pairs = [plain(w) for w in widths]
    padded = literal([(max(a, 0), max(b, 0)) for a, b in pairs])
    value = op.get("value")
    extra = {"constant_values": value} if value is not None and plain(value) != 0 else {}
    cuts: list[ast.expr] = [
        ast.Slice(literal(-a) if a < 0 else None, literal(b) if b < 0 else None, None) for a, b in pairs
    ]
    return ast.Subscript(call("mx.pad", op["input"], padded, **extra), ast.Tuple(cuts, ast.Load()), ast.Load())


def width(op: Operation, translated: ast.expr, index: int) -> ast.expr:
    """One width of a written-out tuple; a tensor of one number becomes a Python number, as MLX wants it."""
    raw = op.raw["pad"]
    if isinstance(raw, (ast.Tuple, ast.List)) and any(isinstance(e, ast.Starred) for e in raw.elts):
        return translated
    source = raw.elts[index] if isinstance(raw, (ast.Tuple, ast.List)) and index < len(raw.elts) else None
    return quote("int(x)", x=translated) if source is not None and "tensor" in op.scope.kinds(source) else translated


def held_tensors(op: Operation) -> bool:
    """Whether the widths are tensors of one number each."""
    items = op.scope.seen(op.raw["pad"]).items
    return not items or any(i is None for i in items)


INTERPOLATE = (
    "input size=None scale_factor=None mode='nearest' align_corners=None recompute_scale_factor=None antialias=False"
)


@row("interpolate upsample", INTERPOLATE, Layout.AWARE)
def interpolate(op: Operation) -> ast.expr:
    """Nearest by whole factors repeats; everything else is resampled, along the axes that the layout has."""
    mode, rank = op.value("mode", "nearest"), op.rank()
    corners, antialias = bool(op.value("align_corners")), bool(op.value("antialias", False))
    if op.value("recompute_scale_factor") and op.get("size") is None:
        raise HoleError("interpolation that computes its scale again")
    if mode == "nearest" and op.get("size") is None and is_whole(op):
        return nearest_by(op)
    kinds = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}
    kind = kinds.get(mode, mode)
    if kind not in ("linear", "cubic", "nearest", "nearest-exact"):
        raise HoleError(f"interpolation of mode {mode}")
    axes = tuple(last_axis(i, rank) if op.is_last() else i for i in range(2, rank))
    name = "size" if op.get("size") is not None else "scale_factor"
    options = {"align_corners": True} if corners else {}
    options |= {"antialias": True} if antialias else {}
    made = call(
        "resample",
        op["input"],
        literal(axes),
        **{"sizes" if name == "size" else "scales": per_axis(op, name, len(axes))},
        mode=literal(kind) if kind != "linear" else None,
        **{k: literal(v) for k, v in options.items()},
    )
    made = ask(made, Demand("snippet", "resample"))
    if op.is_last() == op.scope.is_last(op.node):
        return made
    return outward(op, made) if op.is_last() else to_last(made, rank)


def per_axis(op: Operation, name: str, count: int) -> ast.expr:
    """One size or scale for each axis; a single number stands for all."""
    given = op[name]
    if isinstance(given, (ast.Tuple, ast.List)) or op.kinds(name) & {"tuple", "list", "size"}:
        return given
    if count > 1 and not isinstance(given, (ast.Name, ast.Constant, ast.Attribute)):
        return quote("(g,) * n", g=given, n=literal(count))
    return ast.Tuple([given] * count, ast.Load())


def is_whole(op: Operation) -> bool:
    """Whether the scale is one whole number, whatever the config."""
    value = plain(op["scale_factor"])
    return isinstance(value, (int, float)) and float(value) == int(value)


def nearest_by(op: Operation) -> ast.expr:
    value = op.value("scale_factor")
    if value is None or isinstance(value, (tuple, list)) or float(value) != int(value):
        raise HoleError("interpolation by a fraction")
    out, rank = op["input"], op.rank()
    for axis in range(2, rank):
        place = last_axis(axis, rank) if op.is_last() else axis
        out = quote("mx.repeat(x, s, axis=a)", x=out, s=literal(int(value)), a=literal(place))
    return out


def inward(op: Operation, name: str = "input") -> ast.expr:
    """An operand as channels-last."""
    return op[name] if op.is_last(name) else to_last(op[name], op.rank(name))


def outward(op: Operation, made: ast.expr) -> ast.expr:
    """A channels-last result in the layout that it has in the port."""
    if op.scope.is_last(op.node):
        return made
    rank = op.scope.rank(op.node)
    if rank is None:
        raise HoleError(f"{op.name}: the rank of its result is not known")
    return to_first(made, rank)


@row("conv1d conv2d conv3d", "input weight bias=None stride=1 padding=0 dilation=1 groups=1", Layout.AWARE)
def convolution(op: Operation) -> ast.expr:
    """A convolution with a weight that the reference holds itself, (out, in, ...) as torch has it."""
    if op.kinds("padding") & {"str"}:
        raise HoleError("padding by name")
    weight = to_last(kernel(op), op.rank("weight"))
    options = {k: number(op, k) for k in ("stride", "padding", "dilation", "groups")}
    shown = {k: v for k, v in options.items() if v is not None and plain(v) != {"padding": 0}.get(k, 1)}
    made: ast.expr = call(f"mx.{op.name}", inward(op), weight, **shown)
    if op.name == "conv3d" and "groups" in shown and set(op.constants("groups")) != {1}:
        groups = shown.pop("groups")
        made = call("grouped_conv3d", inward(op), weight, groups, **shown)  # MLX groups two axes at most
        made = ask(made, Demand("snippet", "grouped_conv3d"))
    if op.get("bias") is not None:
        made = ast.BinOp(made, ast.Add(), op["bias"])
    return outward(op, made)


def number(op: Operation, name: str) -> ast.expr | None:
    """An option of a convolution; along one axis MLX takes a number where torch takes a tuple of one too."""
    given = op.get(name)
    if given is None or not op.name.endswith("1d"):
        return given
    if isinstance(given, (ast.Tuple, ast.List)):
        return given.elts[0]
    return quote("n[0]", n=given) if op.kinds(name) & {"tuple", "list", "size"} else given


def kernel(op: Operation) -> ast.expr:
    """The weight as torch has it."""
    return to_first(op["weight"], op.rank("weight")) if op.is_last("weight") else op["weight"]


POOL = "input kernel_size stride=None padding=0"


@row(
    "avg_pool1d avg_pool2d avg_pool3d",
    POOL + " ceil_mode=False count_include_pad=True divisor_override=None",
    Layout.AWARE,
)
def average_pool(op: Operation) -> ast.expr:
    over_edge = op.name.endswith("2d") and op.value("ceil_mode", False) is True
    if over_edge:
        refuse(op, padding=0, divisor_override=None)
        return ask(pool(op, "CeilAvgPool2d"), Demand("snippet", "CeilAvgPool2d"))
    refuse(op, ceil_mode=False, count_include_pad=True, divisor_override=None)
    return pool(op, f"nn.AvgPool{op.name[-2:]}")


@row("max_pool1d max_pool2d max_pool3d", POOL + " dilation=1 ceil_mode=False return_indices=False", Layout.AWARE)
def max_pool(op: Operation) -> ast.expr:
    over_edge = op.name.endswith("2d") and op.value("ceil_mode", False) is True
    if over_edge:
        refuse(op, dilation=1, return_indices=False)
        return ask(pool(op, "CeilMaxPool2d"), Demand("snippet", "CeilMaxPool2d"))
    refuse(op, dilation=1, ceil_mode=False, return_indices=False)
    return pool(op, f"nn.MaxPool{op.name[-2:]}")


def refuse(op: Operation, **allowed: object) -> None:
    """Arguments that MLX's layer does not take must have the value that changes nothing."""
    for name, value in allowed.items():
        if op.value(name, value) != value:
            raise HoleError(f"{op.name} with {name}={op.value(name)!r}")


def pool(op: Operation, layer: str) -> ast.expr:
    padding = op.get("padding")
    shown = padding if padding is not None and plain(padding) != 0 else None
    made = call(layer, op["kernel_size"], stride=op.get("stride"), padding=shown)
    return outward(op, ast.Call(made, [inward(op)], []))


@row("adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d", "input output_size", Layout.AWARE)
def adaptive_average(op: Operation) -> ast.expr:
    """To one value per channel, or the means of as many windows as asked for."""
    size, rank = op.value("output_size"), op.rank()
    axes = tuple(range(1, rank - 1)) if op.is_last() else tuple(range(2, rank))
    if size in (1, (1,) * len(axes), [1] * len(axes)):
        shown = literal(axes if len(axes) > 1 else axes[0])
        made = quote("mx.mean(x, axis=a, keepdims=True)", x=op["input"], a=shown)
    else:
        made = call("adaptive_average", op["input"], literal(axes), per_axis(op, "output_size", len(axes)))
        made = ask(made, Demand("snippet", "adaptive_average"))
    if op.is_last() == op.scope.is_last(op.node):
        return made
    return outward(op, made) if op.is_last() else to_last(made, rank)


@row("adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d", "input output_size", Layout.AWARE)
def adaptive_maximum(op: Operation) -> ast.expr:
    """The greatest values of as many windows as asked for."""
    rank = op.rank()
    axes = tuple(range(1, rank - 1)) if op.is_last() else tuple(range(2, rank))
    made = call("adaptive_maximum", op["input"], literal(axes), per_axis(op, "output_size", len(axes)))
    made = ask(made, Demand("snippet", "adaptive_maximum"))
    if op.is_last() == op.scope.is_last(op.node):
        return made
    return outward(op, made) if op.is_last() else to_last(made, rank)


@row("group_norm", "input num_groups weight=None bias=None eps=1e-05")
def group_norm(op: Operation) -> ast.expr:
    """Mean and variance over each group of channels, in the reference's own layout."""
    flat = quote("x.reshape(x.shape[0], g, -1)", x=op["input"], g=op["num_groups"])
    made = quote(
        "mx.fast.layer_norm(f, None, None, e).reshape(x.shape)",
        f=flat,
        x=op["input"],
        e=op.args.get("eps", literal(1e-05)),
    )
    spread = ", ".join([":"] + ["None"] * (op.rank() - 2))
    if op.get("weight") is not None:
        made = quote(f"y * w[{spread}]", y=made, w=op["weight"])
    if op.get("bias") is not None:
        made = quote(f"y + b[{spread}]", y=made, b=op["bias"])
    return made


@row("batch_norm", "input running_mean running_var weight=None bias=None training=False momentum=0.1 eps=1e-05")
def batch_norm(op: Operation) -> ast.expr:
    if op.value("training", False) or op.get("running_mean") is None:
        raise HoleError("batch_norm by the statistics of its own batch")
    spread = ", ".join([":"] + ["None"] * (op.rank() - 2))
    made = quote(
        f"(x - m[{spread}]) * mx.rsqrt(v[{spread}] + e)",
        x=op["input"], m=op["running_mean"], v=op["running_var"], e=op.args.get("eps", literal(1e-05)),
    )  # fmt: skip
    if op.get("weight") is not None:
        made = quote(f"y * w[{spread}]", y=made, w=op["weight"])
    return quote(f"y + b[{spread}]", y=made, b=op["bias"]) if op.get("bias") is not None else made
