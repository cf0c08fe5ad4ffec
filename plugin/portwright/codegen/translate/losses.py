"""torch.nn.functional's losses, and torch's layers that are nothing but one."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, literal, quote
from portwright.codegen.trace import ModuleTrace
from portwright.codegen.translate.layers import layer, setting
from portwright.codegen.translate.registry import Operation, row

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

CROSS_ENTROPY = '''def cross_entropy(logits, targets, ignored=-100, reduction="mean"):
    """The cross entropy of the targets that count; classes are along the second axis, or the only one."""
    counts = targets != ignored
    axis = 1 if logits.ndim > 1 else 0
    losses = nn.losses.cross_entropy(logits, mx.where(counts, targets, 0), axis=axis)
    losses = mx.where(counts, losses, 0.0)
    if reduction == "none":
        return losses
    return mx.sum(losses) / (mx.sum(counts) if reduction == "mean" else 1)
'''
SNIPPETS = {"cross_entropy": CROSS_ENTROPY}
REDUCTIONS = ("mean", "sum", "none")
OLD = "size_average=None reduce=None reduction='mean'"


def reduced(each: ast.expr, reduction: object) -> ast.expr:
    """The mean or sum of all elements, or each of them."""
    if reduction not in REDUCTIONS:
        raise HoleError(f"a loss with reduction={reduction!r}")
    return each if reduction == "none" else call(f"mx.{reduction}", each)


def cross_entropy(logits: ast.expr, targets: ast.expr, ignored: ast.expr | None, reduction: object) -> ast.expr:
    """A call of the text that the port carries."""
    if reduction not in REDUCTIONS:
        raise HoleError(f"a loss with reduction={reduction!r}")
    made = call("cross_entropy", logits, targets)
    if ignored is not None and not (isinstance(ignored, ast.Constant) and ignored.value == -100):
        made.args.append(ignored)
    if reduction != "mean":
        made.keywords.append(ast.keyword("reduction", literal(reduction)))
    return ask(made, Demand("snippet", "cross_entropy"))


def binary(logits: ast.expr, targets: ast.expr, reduction: object) -> ast.expr:
    """MLX's binary cross entropy, which takes logits too."""
    if reduction not in REDUCTIONS:
        raise HoleError(f"a loss with reduction={reduction!r}")
    made = call("nn.losses.binary_cross_entropy", logits, targets)
    if reduction != "mean":
        made.keywords.append(ast.keyword("reduction", literal(reduction)))
    return made


def check_plain(op: Operation, *names: str) -> None:
    """Raises HoleError for settings that change a loss and have no row."""
    for name in names:
        if op.get(name) is not None and op.kinds(name) != {"none"}:
            raise HoleError(f"{op.name} with {name}")


@row(
    "cross_entropy",
    "input target weight=None size_average=None ignore_index=-100 reduce=None reduction='mean' label_smoothing=0.0",
)
def functional_cross_entropy(op: Operation) -> ast.expr:
    check_plain(op, "weight", "size_average", "reduce")
    if op.value("label_smoothing", 0.0) or not op.scope.seen(op.raw["target"]).dtypes <= {"int64", "int32"}:
        raise HoleError("cross_entropy with smoothed labels or probabilities")
    return cross_entropy(op["input"], op["target"], op.get("ignore_index"), op.value("reduction", "mean"))


@row("binary_cross_entropy_with_logits", f"input target weight=None {OLD} pos_weight=None")
def with_logits(op: Operation) -> ast.expr:
    check_plain(op, "weight", "size_average", "reduce", "pos_weight")
    return binary(op["input"], op["target"], op.value("reduction", "mean"))


@layer("CrossEntropyLoss")
def cross_entropy_layer(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    check_layer(scope, n, modules)
    if setting(modules, "label_smoothing") or not scope.seen(n.args[1]).dtypes <= {"int64", "int32"}:
        raise HoleError("CrossEntropyLoss with smoothed labels or probabilities")
    ignored = literal(setting(modules, "ignore_index"))
    return cross_entropy(scope.expr(n.args[0]), scope.expr(n.args[1]), ignored, setting(modules, "reduction"))


@layer("BCEWithLogitsLoss")
def with_logits_layer(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    check_layer(scope, n, modules)
    return binary(scope.expr(n.args[0]), scope.expr(n.args[1]), setting(modules, "reduction"))


@layer("MSELoss")
def squared_layer(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    check_layer(scope, n, modules)
    each = quote("mx.square(x - y)", x=scope.expr(n.args[0]), y=scope.expr(n.args[1]))
    return reduced(each, setting(modules, "reduction"))


@layer("L1Loss")
def absolute_layer(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> ast.expr:
    check_layer(scope, n, modules)
    each = quote("mx.abs(x - y)", x=scope.expr(n.args[0]), y=scope.expr(n.args[1]))
    return reduced(each, setting(modules, "reduction"))


def check_layer(scope: Scope, n: ast.Call, modules: list[ModuleTrace]) -> None:
    """Raises HoleError for class weights, and for values that the port holds channels-last."""
    if len(n.args) != 2 or n.keywords or any(m.tensors for m in modules):
        raise HoleError("a loss with weights, or given arguments by name")
    if any(scope.is_last(a) for a in n.args):
        raise HoleError("a loss of channels-last values")
