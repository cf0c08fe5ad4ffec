"""Calls of layers: torch's own, activations by their answer, sequences of layers."""

from __future__ import annotations

import ast

from portwright.codegen.emit.chains import part_of, sequential
from portwright.codegen.emit.choices import choices
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import Assumption, HoleError
from portwright.codegen.idioms.activations import carried, function_of, layer_of
from portwright.codegen.layout import to_first, to_last
from portwright.codegen.quote import literal, quote
from portwright.codegen.runtime.tied import tied_call
from portwright.codegen.trace import Callee
from portwright.codegen.translate.constructors import CONSTRUCTORS, TRANSPARENT
from portwright.codegen.translate.layers import FUNCTIONS, LAYER_CALLS, layer_title
from portwright.codegen.translate.shared_layers import LAYERS, carried_layer

WITH_WEIGHTS = {"PReLU": "nn.PReLU()"}  # activations as torch makes them when it is told nothing


def activation_value(scope: Scope, node: ast.expr) -> ast.expr | None:
    """An expression that was always the same activation module (a look-up in a registry): the MLX layer."""
    seen = scope.seen(node)
    if seen.kinds != {"module"} or not seen.paths:
        return None
    if isinstance(node, ast.Subscript) and "module" in scope.kinds(node.value):
        return None  # an item of a module list is the item
    layer = layer_of(scope.work.activations, scope.program, seen.paths)
    if layer is None and (chosen := chosen_by_name(scope, node)) is not None:
        return chosen
    if layer is None and len(seen.types) == 1 and seen.types <= set(LAYERS):
        cls = next(iter(seen.types))
        layer = carried_layer(scope, LAYERS[cls][0], cls)
    return assuming(layer, choices(scope, node)) if layer is not None else None


def chosen_by_name(scope: Scope, node: ast.expr) -> ast.expr | None:
    """An item of a registry of activations under several names: MLX's layers under those that were seen."""
    if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)):
        return None
    ref, names = scope.global_(node.value.id), scope.seen(node.slice)
    if ref is None or ref.sort != "activations" or names.mixed or not names.consts:
        return None
    layers = []
    for answer in (ref.value.get(name, "") for name in names.consts):
        known = scope.work.activations.get(answer)
        if known is None and answer not in WITH_WEIGHTS:
            return None
        text = known[1] if known is not None else WITH_WEIGHTS[answer]
        layers.append(carried(quote(text), text.partition("(")[0]))
    return ast.Subscript(ast.Dict(list(map(literal, names.consts)), layers), scope.expr(node.slice), ast.Load())


def assuming(node: ast.expr, assumptions: list[Assumption]) -> ast.expr:
    """The node with what it takes for granted."""
    return ask(node, *[Demand("assume", a) for a in assumptions])


def leaf_module(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> ast.expr:
    """A call of layers that are not rewritten."""
    bases = {scope.program.torch_base(c.cls) for c in callees}
    if bases <= TRANSPARENT:
        return scope.expr(n.args[0])
    if bases == {"Sequential"} and part_of(n.func)[0] is not n.func:
        return sequential(scope, n)
    function = function_of(scope.work.activations, scope.program, scope.seen(n.func).paths)
    if function is not None and len(n.args) == 1:
        out = ast.Call(carried(quote(function), function), [scope.expr(n.args[0])], [])
        try:
            return assuming(out, choices(scope, n.func))
        except HoleError:
            if not is_looked_up(scope, n.func):
                raise
            return ast.Call(scope.expr(n.func), [scope.expr(n.args[0])], [])
    paths = scope.seen(n.func).paths
    if len(n.args) == 1 and paths and all(is_elementwise(scope, p) for p in paths):
        return ast.Call(scope.expr(n.func), [scope.expr(n.args[0])], [])  # activations that differ by instance
    if "Sequential" in bases and bases - TRANSPARENT == {"Sequential"}:
        return sequential(scope, n, other=len(bases) > 1)
    if all(c.cls in LAYERS for c in callees):
        return called(scope, n, wants_last=scope.is_last(n.args[0]))
    titles = {layer_title(scope.program, c.cls) for c in callees}
    if len(titles) == 1 and (layer := LAYER_CALLS.get(next(iter(titles)))) is not None:
        made = layer(scope, n, [scope.program.modules[p] for p in scope.seen(n.func).paths])
        built = titles <= set(CONSTRUCTORS) - set(FUNCTIONS)  # its settings come from the config with its constructor
        return made if built else assuming(made, choices(scope, n.func))
    if all(scope.work.norm_of(c.cls) is not None or is_last_norm(scope, c) for c in callees):
        return called(scope, n, wants_last=False)
    bases = {scope.program.torch_base(scope.program.modules[p].cls) for p in paths if not is_elementwise(scope, p)}
    if not bases or not bases <= set(CONSTRUCTORS) or any(c.fid for c in callees):
        raise HoleError("no row for the layer " + ", ".join(sorted(c.name for c in callees)))
    if len(n.args) == 1 and not n.keywords and all(CONSTRUCTORS[b].elementwise for b in bases):
        return ast.Call(scope.expr(n.func), [scope.expr(n.args[0])], [])
    wants = {CONSTRUCTORS[b].channels_last for b in bases if not CONSTRUCTORS[b].elementwise}
    if len(wants) > 1:
        raise HoleError("layers of both layouts share a call")
    return called(scope, n, wants_last=wants.pop())


def is_last_norm(scope: Scope, c: Callee) -> bool:
    """Whether a layer is torch's own norm over the last axes, which MLX has under another name."""
    return scope.program.torch_base(c.cls) in ("LayerNorm", "RMSNorm") and scope.program.is_torch(c.cls)


def is_looked_up(scope: Scope, f: ast.expr) -> bool:
    """Whether the port can look an activation up itself: its class makes it by a library's factory of names."""
    if not (isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.value.id == scope.self_name):
        return False
    fid = scope.program.init_of(scope.trace.owner)
    inner = scope.work.scope(fid) if fid else None
    makers = {
        c.name
        for s in (ast.walk(inner.tree) if inner is not None else ())
        if isinstance(s, ast.Assign) and any(isinstance(t, ast.Attribute) and t.attr == f.attr for t in s.targets)
        for call in ast.walk(s.value)
        if isinstance(call, ast.Call)
        for c in inner.seen(call).callees  # type: ignore[union-attr]
    }
    return "get_activation" in makers and makers <= {"get_activation", "Identity"}


def called(scope: Scope, n: ast.Call, wants_last: bool, function: ast.expr | None = None) -> ast.expr:
    """`layer(x)` with x in the layout that the layer wants, and the result in the one that it has in the port."""
    if len(n.args) != 1 or n.keywords:
        raise HoleError("a layer called with several arguments")
    source = n.args[0]
    x, rank, out_rank = scope.expr(source), scope.rank(source), scope.rank(n)
    last, out_last = scope.is_last(source), scope.is_last(n)
    if (last or out_last or wants_last) and (rank is None or out_rank is None):
        raise HoleError("a layer whose input has no fixed rank")
    if wants_last and rank is not None and not last:
        x = to_last(x, rank)
    elif not wants_last and last and rank is not None:
        x = to_first(x, rank)
    made = ast.Call(function if function is not None else scope.expr(n.func), [x], [])
    out: ast.expr = tied_call(scope, n, made)
    if wants_last and not out_last:
        return to_first(out, out_rank or 0)
    return to_last(out, out_rank or 0) if out_last and not wants_last else out


def is_elementwise(scope: Scope, path: str) -> bool:
    """Whether a module is an activation, or does nothing: in any layout it is called as it is."""
    module = scope.program.modules[path]
    return scope.program.torch_base(module.cls) in TRANSPARENT or module.response in scope.work.activations
