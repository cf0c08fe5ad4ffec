"""Library decorators that compute something: what they do to the body of the function that they wrap."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError, raising

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope
    from portwright.codegen.trace import Trace

Wrap = Callable[["Scope", list[ast.stmt]], list[ast.stmt]]


def decorated(scope: Scope, body: list[ast.stmt]) -> list[ast.stmt]:
    """The body with what its decorators do; a hole stands before it where the port cannot do that."""
    for decorator in reversed(scope.trace.decorators):
        wrap = DECORATORS.get(decorator)
        try:
            body = wrap(scope, body) if wrap is not None else body
        except HoleError as error:
            body = [raising(ast.Expr(ast.Name(decorator.rpartition(".")[2], ast.Load())), str(error)), *body]
    return body


def rope_types(scope: Scope) -> set[str]:
    """The kinds of rotary embedding in the observed configs."""
    return observed_rope_types(scope.program.trace)


def observed_rope_types(trace: Trace) -> set[str]:
    found: set[str] = set()
    for config in (*[m.config for m in trace.models], *[s for c in trace.configs.values() for s in c.saved]):
        rope = config.get("rope_parameters") or {}
        if not rope:
            continue
        nested = [r for r in rope.values() if isinstance(r, dict)]
        found |= {str(r.get("rope_type")) for r in (nested or [rope])}
    return found


def dynamic_rope_update(scope: Scope, body: list[ast.stmt]) -> list[ast.stmt]:
    """Frequencies that depend on how far the positions reach, computed anew in each call."""
    kinds = {k for k in rope_types(scope) if "dynamic" in k or k == "longrope"}
    if not kinds:
        return body  # the constructor refuses every other kind than the one that was seen
    if len(rope_types(scope)) > 1 or len(scope.params) != 3:
        raise HoleError("rotary embeddings of several kinds, one of which depends on the positions")
    me, positions = scope.self_name, scope.params[2]
    if kinds == {"longrope"}:
        title, fid = "_compute_longrope_parameters", "transformers.modeling_rope_utils:_compute_longrope_parameters"
        lines = [
            f"original_length = {me}.config.rope_parameters['original_max_position_embeddings']",
            f"long_inv_freq, _ = {title}({me}.config, seq_len=original_length + 1)",
            f"inv_freq = mx.where(mx.max({positions}) + 1 > original_length, long_inv_freq, {me}._inv_freq)",
        ]
        demands = [Demand("call", fid), Demand("used", fid, 0), Demand("forced", fid, ("seq_len",))]
    else:
        lines = [f"inv_freq = dynamic_inv_freq({me}._inv_freq, {me}.config, {positions})"]
        demands = [Demand("snippet", "dynamic_inv_freq")]
        demands += [Demand("config", f) for f in ("max_position_embeddings", "rope_parameters")]
    owner = scope.trace.owner
    made = ast.parse("\n".join(lines)).body
    for s in made:
        s.origin = 0  # type: ignore[attr-defined]
    ask(made[0], *demands, Demand("live", owner, "config"), Demand("live", owner, "inv_freq"))
    return [*made, *[_Local(me).visit(s) for s in body]]


class _Local(ast.NodeTransformer):
    """Reads of the module's frequencies become reads of this call's."""

    def __init__(self, me: str) -> None:
        self.me = me

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if node.attr == "_inv_freq" and isinstance(node.value, ast.Name) and node.value.id == self.me:
            return ast.Name("inv_freq", ast.Load())
        self.generic_visit(node)
        return node


DECORATORS: dict[str, Wrap] = {"transformers.modeling_rope_utils.dynamic_rope_update": dynamic_rope_update}
