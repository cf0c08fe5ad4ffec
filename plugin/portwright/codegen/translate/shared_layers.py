"""Layers of torch and of the libraries' shared modules that MLX has none of, as text; keyed by the layer's class."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, plain

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

UNWEIGHTED = '''class UnweightedRMSNorm(nn.Module):
    """RMS norm without weights."""

    def __init__(self, dims, eps):
        super().__init__()
        self.eps = eps

    def __call__(self, x):
        return mx.fast.rms_norm(x, None, self.eps)
'''
XIELU = '''class XIELU(nn.Module):
    """An activation that is quadratic above zero and exponential below, both with a weight."""

    def __init__(self):
        super().__init__()
        self.alpha_p, self.alpha_n = mx.zeros((1,)), mx.zeros((1,))
        self.beta, self.eps = mx.array(0.5), mx.array(-1e-6)

    def __call__(self, input):
        above = nn.softplus(self.alpha_p) * input * input
        below = (mx.expm1(mx.minimum(input, self.eps)) - input) * (
            self.beta + nn.softplus(self.alpha_n)
        )
        return mx.where(input > 0, above, below) + self.beta * input
'''
SNIPPETS = {"UnweightedRMSNorm": UNWEIGHTED, "XIELU": XIELU}
# A library's shared layer -> the class in a port, and the arguments of its constructor that change only first values.
LAYERS = {
    "transformers.activations:XIELUActivation": (
        "XIELU",
        frozenset({"dtype", "with_vector_loads", "alpha_p_init", "alpha_n_init", "beta", "eps"}),
    )
}


def shared_layer(scope: Scope, n: ast.Call, cls: str) -> ast.expr | None:
    """The port's layer for a library's own, made by its constructor; None where there is none."""
    if cls not in LAYERS:
        return None
    title, ignored = LAYERS[cls]
    if n.args or {k.arg for k in n.keywords} - ignored:
        raise HoleError(f"{cls.rpartition(':')[2]} with these arguments")
    return carried_layer(scope, title, cls)


def carried_layer(scope: Scope, title: str, cls: str) -> ast.expr:
    """A new layer, whose weights are all read."""
    slots = {t.name for m in scope.program.instances.get(cls, ()) for t in m.tensors}
    return ask(call(title), Demand("snippet", title), *[Demand("live", cls, slot) for slot in sorted(slots)])


def unweighted_norm(scope: Scope, n: ast.Call) -> ast.expr | None:
    """`nn.RMSNorm(n, eps, elementwise_affine=False)`; None where it has weights."""
    given = {k.arg: k.value for k in n.keywords}
    affine = n.args[2] if len(n.args) > 2 else given.get("elementwise_affine")
    eps = n.args[1] if len(n.args) > 1 else given.get("eps")
    if affine is None or plain(affine) is not False or eps is None or scope.kinds(eps) == {"none"}:
        return None
    dims = n.args[0] if n.args else given["normalized_shape"]
    if scope.kinds(dims) != {"int"}:
        return None
    return ask(call("UnweightedRMSNorm", scope.expr(dims), scope.expr(eps)), Demand("snippet", "UnweightedRMSNorm"))
