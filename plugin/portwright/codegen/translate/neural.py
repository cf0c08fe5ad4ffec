"""torch.nn.functional: activations, normalisations, linear maps, lookups."""

from __future__ import annotations

import ast

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, literal, quote
from portwright.codegen.translate.constructors import CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS
from portwright.codegen.translate.registry import Layout, Operation, row, template

E = Layout.ELEMENTWISE

template("relu relu_", "input", "nn.relu(input)", E)
template("silu silu_", "input", "nn.silu(input)", E)
template("mish", "input", "nn.mish(input)", E)
template("hardswish", "input", "nn.hardswish(input)", E)
template("relu6", "input", "nn.relu6(input)", E)
template("elu", "input alpha=1.0", "nn.elu(input, alpha)", E)
template("celu", "input alpha=1.0", "nn.celu(input, alpha)", E)
template("selu", "input", "nn.selu(input)", E)
template("leaky_relu", "input negative_slope=0.01", "nn.leaky_relu(input, negative_slope)", E)
template("softsign", "input", "nn.softsign(input)", E)
template("logsigmoid log_sigmoid", "input", "nn.log_sigmoid(input)", E)
template("hardsigmoid", "input", "mx.clip(input / 6 + 0.5, 0.0, 1.0)", E)
template("hardtanh", "input min_val=-1.0 max_val=1.0", "mx.clip(input, min_val, max_val)", E)
template("dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout", "input p=0.5", "input", E)


@row("gelu", "input approximate='none'", E)
def gelu(op: Operation) -> ast.expr:
    if set(op.constants("approximate")) == {"none", "tanh"}:  # layers of both kinds share the code
        return quote("nn.gelu_approx(x) if a == 'tanh' else nn.gelu(x)", x=op["input"], a=op["approximate"])
    return quote("nn.gelu_approx(x)" if op.value("approximate", "none") == "tanh" else "nn.gelu(x)", x=op["input"])


@row("softplus", "input beta=1 threshold=20", E)
def softplus(op: Operation) -> ast.expr:
    """Beyond a threshold torch gives the number itself, which at the usual one makes no difference."""
    made, scaled = quote("nn.softplus(x)", x=op["input"]), op["input"]
    if op.value("beta", 1) != 1:
        scaled = quote("b * x", x=op["input"], b=op["beta"])
        made = quote("nn.softplus(x) / b", x=scaled, b=op["beta"])
    if op.value("threshold", 20) != 20:
        made = quote("mx.where(s > t, x, y)", s=scaled, t=op["threshold"], x=op["input"], y=made)
    return made


@row("glu", "input dim=-1", Layout.AXIS)
def glu(op: Operation) -> ast.expr:
    return quote("nn.glu(x, axis=a)", x=op["input"], a=op.axis(default=-1) or literal(-1))


@row("softmax", "input dim dtype=None", Layout.AXIS)
def softmax(op: Operation) -> ast.expr:
    """A softmax in float32 is MLX's precise one; its result is float32 in torch, so it is cast where that shows."""
    precise = ast.Constant(True) if op.get("dtype") is not None else None
    return call("mx.softmax", op["input"], axis=op.axis() or implied(op), precise=precise)


def implied(op: Operation) -> ast.expr:
    """The axis that torch takes where it is told none: the first of one or three, else the second."""
    axis = literal(0 if op.rank() in (0, 1, 3) else 1)
    return op.place(axis, "input") if op.is_last() else axis


@row("log_softmax", "input dim dtype=None", Layout.AXIS)
def log_softmax(op: Operation) -> ast.expr:
    return call("nn.log_softmax", op["input"], axis=op.axis() or implied(op))


@row("linear", "input weight bias=None")
def linear(op: Operation) -> ast.expr:
    if op.get("bias") is None:
        return quote("x @ w.T", x=op["input"], w=op["weight"])
    return quote("mx.addmm(b, x, w.T)", x=op["input"], w=op["weight"], b=op["bias"])


@row("embedding", "input weight padding_idx=None max_norm=None norm_type=2.0 scale_grad_by_freq=False sparse=False")
def embedding(op: Operation) -> ast.expr:
    if op.value("max_norm") is not None:
        raise HoleError("an embedding with a limit of lengths")
    return quote("w[i]", w=op["weight"], i=op["input"])


@row("layer_norm", "input normalized_shape weight=None bias=None eps=1e-05")
def layer_norm(op: Operation) -> ast.expr:
    seen = op.scope.seen(op.raw["normalized_shape"])
    if seen.lens and seen.lens != {1}:
        raise HoleError("layer_norm over several axes")
    if not seen.n and op.get("weight") is None:
        raise HoleError("layer_norm over axes that are not known")  # MLX itself refuses a weight of several
    return quote(
        "mx.fast.layer_norm(x, w, b, e)",
        x=op["input"],
        w=op.args.get("weight", literal(None)),
        b=op.args.get("bias", literal(None)),
        e=op.args.get("eps", literal(1e-05)),
    )


@row("rms_norm", "input normalized_shape weight=None eps=None")
def rms_norm(op: Operation) -> ast.expr:
    eps = op.get("eps") or quote("mx.finfo(x.dtype).eps", x=op["input"])
    return quote("mx.fast.rms_norm(x, w, e)", x=op["input"], w=op.args.get("weight", literal(None)), e=eps)


@row("normalize", "input p=2.0 dim=1 eps=1e-12", Layout.AXIS)
def normalize(op: Operation) -> ast.expr:
    if op.value("p", 2.0) != 2:
        raise HoleError("normalize by another norm than the euclidean")
    return quote(
        "x / mx.maximum(mx.sqrt(mx.sum(mx.square(x), axis=a, keepdims=True)), e)",
        x=op["input"],
        a=op.axis(default=1) or literal(1),
        e=op.args.get("eps", literal(1e-12)),
    )


@row("cosine_similarity", "x1 x2 dim=1 eps=1e-8")
def cosine_similarity(op: Operation) -> ast.expr:
    raise HoleError("cosine_similarity")


@row("weight_norm", "module name='weight' dim=0", Layout.AWARE)
def weight_norm(op: Operation) -> ast.expr:
    """A layer with the parts of its weight in the weight's place; the axis is moved as the weight's layout is."""
    program = op.scope.program
    bases = {program.torch_base(cls) for cls in op.scope.seen(op.raw["module"]).types}
    axis = op.value("dim", 0)
    if op.value("name", "weight") != "weight" or len(bases) != 1 or not isinstance(axis, int) or axis < 0:
        raise HoleError("weight_norm of another parameter than the weight, or along no one axis")
    if bases <= TRANSPOSED_CONVOLUTIONS:
        axis = {0: -1, 1: 0}.get(axis, axis - 1)
    elif bases <= CONVOLUTIONS:
        axis = {0: 0, 1: -1}.get(axis, axis - 1)
    old = {c.module for c in op.scope.seen(op.node).callees} == {"torch.nn.utils.weight_norm"}
    made = "with_weight_parts" if old else "with_weight_norm"  # the older function keeps the parts on the layer itself
    return ask(call(made, op["module"], literal(axis)), Demand("snippet", made))


@row("mse_loss l1_loss", "input target size_average=None reduce=None reduction='mean'")
def distance(op: Operation) -> ast.expr:
    """The squared or absolute difference, of each element or of all."""
    reduction = op.value("reduction", "mean")
    if reduction not in ("mean", "sum", "none") or op.value("size_average") is not None:
        raise HoleError(f"{op.name} with reduction={reduction!r}")
    each = call("mx.square" if op.name == "mse_loss" else "mx.abs", ast.BinOp(op["input"], ast.Sub(), op["target"]))
    return each if reduction == "none" else call(f"mx.{reduction}", each)
