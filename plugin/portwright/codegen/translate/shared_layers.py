"""Layers of the libraries' shared modules that MLX has none of, as text; keyed by the layer's class."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

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
SNIPPETS = {"XIELU": XIELU}
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
