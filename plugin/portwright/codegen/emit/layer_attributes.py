"""Attributes of torch's own layers: their settings, and their weights where MLX lays them out in another way."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from portwright.codegen.emit.provenance import is_self_attribute, over_config
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand
from portwright.codegen.holes import Assumption, HoleError
from portwright.codegen.layout import to_first
from portwright.codegen.quote import quote

CONVOLUTIONS = frozenset({"Conv1d", "Conv2d", "Conv3d"})


def convolution_weight(read: ast.expr, bases: set[str], rank: int | None) -> ast.expr:
    """The weight of a convolution as the reference has it: MLX keeps the input channels last."""
    if not bases <= CONVOLUTIONS or rank is None:
        raise HoleError("the weight of a transposed convolution, or of one of several kinds of layers")
    return to_first(read, rank)


def bias_demands(scope: Scope, node: ast.Attribute) -> list[Demand]:
    """A bias that is read by itself is there, or is not, where a config field says so."""
    layer = node.value
    fid = scope.program.init_of(scope.trace.owner)
    kinds = scope.kinds(node)
    if not (isinstance(layer, ast.Attribute) and kinds in ({"tensor"}, {"none"}) and fid):
        return []
    negation = "not " if kinds == {"none"} else ""
    inner = scope.work.scope(fid)
    out = []
    for s in inner.function.nodes:
        if (
            isinstance(s, ast.Assign)
            and isinstance(s.value, ast.Call)
            and is_self_attribute(inner, s.targets[0], layer.attr)
        ):
            given = [over_config(inner, k.value) for k in s.value.keywords if k.arg == "bias"]
            checks = [f"{negation}({ast.unparse(g)})" if negation else ast.unparse(g) for g in given if g is not None]
            text = f"{ast.unparse(node)} is {'' if negation else 'not '}None"
            out += [Demand("assume", Assumption(scope.where(node), text, True, "construction", c)) for c in checks]
    return out


def is_layer_setting(scope: Scope, classes: Iterable[str], attr: str) -> bool:
    """Whether an attribute of rewritten classes is one that their torch base keeps, and MLX's layer does not."""
    bases = {scope.program.torch_base(c) for c in classes}
    stored = any(scope.program.may_store(c, attr) for c in classes)
    return bool(bases) and "Module" not in bases and "" not in bases and not stored


LAYER_ATTRIBUTES = {
    "in_features": "x.weight.shape[1]",
    "out_features": "x.weight.shape[0]",
    "num_embeddings": "x.weight.shape[0]",
    "embedding_dim": "x.weight.shape[1]",
    "out_channels": "x.weight.shape[0]",
    "kernel_size": "x.weight.shape[1:-1]",
    "normalized_shape": "x.weight.shape",
    "eps": "x.eps",
    "num_groups": "x.num_groups",
    "groups": "x.groups",
}


GEOMETRY = ("stride", "padding", "dilation")  # of convolutions: tuples in torch, in one dimension numbers in MLX
SETTINGS = frozenset({*LAYER_ATTRIBUTES, *GEOMETRY})


def torch_layer_attribute(scope: Scope, node: ast.Attribute, classes: Iterable[str]) -> ast.expr:
    """`layer.in_features` and the like, from what the MLX layer keeps."""
    found = LAYER_ATTRIBUTES.get(node.attr)
    base = {scope.program.torch_base(c) for c in classes}
    if found is not None:
        return quote(found, x=scope.expr(node.value))
    if node.attr == "dilation" and len(base) == 1 and base <= {"Conv2d", "Conv3d"}:  # MLX keeps it as it is given
        axes = ast.Constant(int(next(iter(base))[4]))
        return quote("(d,) * n if isinstance(d, int) else d", d=quote("x.dilation", x=scope.expr(node.value)), n=axes)
    if node.attr in ("num_features", "running_mean", "running_var") and base <= {"BatchNorm1d", "BatchNorm2d"}:
        return ast.Attribute(scope.expr(node.value), node.attr, ast.Load())
    if node.attr in GEOMETRY and base <= {"Conv2d", "Conv3d"}:
        return ast.Attribute(scope.expr(node.value), node.attr, ast.Load())
    if node.attr in GEOMETRY and base and base <= {"Conv1d", "ConvTranspose1d"}:
        return quote(f"(x.{node.attr},)", x=scope.expr(node.value))
    raise HoleError(f"the attribute {node.attr} of a torch layer")
