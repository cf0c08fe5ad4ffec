"""Subscripts: slices of tensors in both layouts, elements of results and shapes."""

from __future__ import annotations

import ast
from typing import cast

from portwright.codegen.emit.layer_configs import is_layer_config, layer_config
from portwright.codegen.emit.modules import activation_value
from portwright.codegen.emit.names import item
from portwright.codegen.emit.parts import part as part_of
from portwright.codegen.emit.results import element, element_of_call, result_callees
from portwright.codegen.emit.scope import Scope, expression, is_changed, keyword_name
from portwright.codegen.emit.sequences import elements
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import last_axis, to_first, to_last
from portwright.codegen.quote import plain, quote


def subscript_slice(scope: Scope, node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Tuple):
        return ast.Tuple([subscript_slice(scope, e) for e in node.elts], ast.Load())
    if isinstance(node, ast.Slice):
        lower, upper, step = [bound(scope, x) if x else None for x in (node.lower, node.upper, node.step)]
        if isinstance(lower, ast.Constant) and lower.value == 0 and step is None:
            lower = None
        return ast.Slice(lower, upper, step)
    return scope.expr(node)


def tensor_index(scope: Scope, node: ast.expr) -> ast.expr:
    """An index of a tensor; where torch takes a list of numbers, MLX wants an array."""
    if isinstance(node, ast.Tuple):
        return ast.Tuple([made for e in node.elts for made in array_indices(scope, e)], ast.Load())
    return array_index(scope, node, {"list"})  # a tuple is an index for each axis


def array_indices(scope: Scope, node: ast.expr) -> list[ast.expr]:
    """One part of an index; a mask among others as the places where it is true, an index for each of its axes."""
    if is_mask(scope, node) and (rank := scope.rank(node)) and scope.seen(node).dtypes == {"bool"}:
        from portwright.codegen.translate.scatter import positions

        return positions(scope.expr(node), rank)
    return [array_index(scope, node, {"list", "tuple"})]


def array_index(scope: Scope, node: ast.expr, kinds: set[str]) -> ast.expr:
    made = subscript_slice(scope, node)
    listed = scope.kinds(node) <= kinds and bool(scope.kinds(node)) and not isinstance(node, ast.Slice)
    return quote("mx.array(x)", x=made) if listed else made


def bound(scope: Scope, node: ast.expr) -> ast.expr:
    """A bound of a slice; torch takes a tensor of one number for it, MLX a Python number."""
    made = scope.expr(node)
    return quote("int(x)", x=made) if "tensor" in scope.kinds(node) else made


def shape_of(scope: Scope, node: ast.expr) -> ast.expr | None:
    """The tensor whose shape an expression is (`x.shape`, `x.size()`), or None."""
    if isinstance(node, ast.Attribute) and node.attr == "shape" and scope.is_tensor(node.value):
        return node.value
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "size"
        and not node.args
        and not node.keywords
        and scope.is_tensor(node.func.value)
    ):
        return node.func.value
    return None


@expression(ast.Subscript)
def subscript(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.Subscript, node)
    index = n.slice
    argument = keyword_argument(scope, n)
    if argument is not None:
        return argument
    if isinstance(index, ast.Slice) and isinstance(n.value, ast.Name) and n.value.id in scope.result_vars:
        return slice_of_result(scope, n.value, index)
    if isinstance(index, (ast.Constant, ast.UnaryOp)):
        key = plain(index)
        if isinstance(n.value, ast.Name) and n.value.id in scope.parts:
            return part_of(scope, n.value.id, key)
        if isinstance(n.value, ast.Name) and n.value.id in scope.result_vars:
            return element(scope, n.value, scope.result_vars[n.value.id], key)
        if isinstance(n.value, ast.Call) and result_callees(scope, n.value):
            return element_of_call(scope, n.value, key)
    activation = activation_value(scope, n)
    if activation is not None:
        return activation
    if is_layer_config(scope, n):
        return layer_config(scope, n)
    shape = shape_of(scope, n.value)
    if shape is not None and scope.is_last(shape):
        return item_of_last_shape(scope, n, shape)
    if scope.is_tensor(n.value):
        return tensor_item(scope, n)
    if isinstance(index, ast.Slice) and is_whole(scope, n.value, index):
        return scope.expr(n.value)
    value = elements(scope, n.value, indexed=True)
    key = plain(index)
    if (
        isinstance(value, ast.Tuple)
        and isinstance(key, int)
        and not isinstance(key, bool)
        and "tensor" in scope.kinds(n)
    ):
        return item(value, key)
    return ast.Subscript(value, subscript_slice(scope, index), ast.Load())


def keyword_argument(scope: Scope, n: ast.Subscript) -> ast.expr | None:
    """`kwargs["x"]`: the argument x under its own name."""
    a, key = scope.tree.args, plain(n.slice) if isinstance(n.slice, ast.Constant) else None
    if not (a.kwarg and isinstance(n.value, ast.Name) and n.value.id == a.kwarg.arg and key in scope.trace.starred):
        return None
    if scope.reached_stores.get(n.value.id, 0) or is_changed(scope, n.value.id):
        return None
    return keyword_name(scope, key)


def is_whole(scope: Scope, value: ast.expr, index: ast.Slice) -> bool:
    """`self.layers[: self.config.n]` of layers that the constructor makes as `[… for _ in range(config.n)]`: all."""
    init = scope.program.functions.get(scope.program.method(scope.trace.owner, "__init__"))
    if init is None or index.lower or index.step or index.upper is None or "module" not in scope.kinds(value):
        return False
    wanted = ast.unparse(index.upper).removeprefix(f"{scope.self_name}.")
    made = [
        s.value
        for s in ast.walk(init.tree)
        if isinstance(s, ast.Assign) and ast.unparse(value) in {ast.unparse(t) for t in s.targets}
    ]
    if len(made) != 1 or not isinstance(made[0], ast.Call) or len(made[0].args) != 1:
        return False
    each = made[0].args[0]
    if not (isinstance(each, ast.ListComp) and len(each.generators) == 1 and not each.generators[0].ifs):
        return False
    count = ast.unparse(each.generators[0].iter)
    return wanted.startswith("config.") and count in (f"range({wanted})", f"range({scope.self_name}.{wanted})")


def slice_of_result(scope: Scope, name: ast.Name, index: ast.Slice) -> ast.expr:
    """`outputs[1:]`: those elements, as a tuple."""
    fids = scope.result_vars[name.id]
    bounds = [plain(x) if x is not None else None for x in (index.lower, index.upper, index.step)]
    if any(x is not None and not isinstance(x, int) for x in bounds):
        raise HoleError("a slice of a result by bounds that are not literal")
    places = range(scope.results[fids[0]].size)[slice(*bounds)]
    return ast.Tuple([element(scope, name, fids, i) for i in places], ast.Load())


def item_of_last_shape(scope: Scope, n: ast.Subscript, shape: ast.expr) -> ast.expr:
    """`x.shape[i]` of a value that is held channels-last."""
    x, rank, index = scope.expr(shape), scope.rank(shape), plain(n.slice)
    if rank is None:
        raise HoleError("shape of a channels-last value of several ranks")
    if isinstance(index, int):
        place = last_axis(index, rank)
        return quote("x.shape[i]", x=x, i=ast.Constant(place) if place < rank - 1 else quote("-1"))
    if (
        isinstance(n.slice, ast.Slice)
        and n.slice.upper is None
        and n.slice.step is None
        and plain(n.slice.lower) in (2, 2 - rank)
    ):
        return quote("x.shape[1:-1]", x=x)
    return quote("(x.shape[0], x.shape[-1], *x.shape[1:-1])[i]", x=x, i=subscript_slice(scope, n.slice))


def picks_positions(scope: Scope, parts: list[ast.expr]) -> bool:
    """`x[:, :, i, a:b]`: whole batch and channels, numbers and slices of the other axes."""
    whole = [isinstance(p, ast.Slice) and not (p.lower or p.upper or p.step) for p in parts[:2]]
    others = [isinstance(p, ast.Slice) or scope.kinds(p) == {"int"} or isinstance(plain(p), int) for p in parts[2:]]
    return len(parts) > 2 and all(whole) and all(others)


def unfolded(parts: list[ast.expr], rank: int) -> list[ast.expr]:
    """An index of slices with `...` written out, one slice for each axis that it stands for."""
    dots = [i for i, p in enumerate(parts) if isinstance(p, ast.Constant) and p.value is ...]
    if len(dots) != 1 or any(isinstance(p, ast.Constant) and p.value is None for p in parts):
        return parts
    return [*parts[: dots[0]], *(ast.Slice() for _ in range(rank - len(parts) + 1)), *parts[dots[0] + 1 :]]


def moved_slices(scope: Scope, parts: list[ast.expr], rank: int) -> ast.expr:
    """Slices of a channels-first value, for the same value held channels-last."""
    moved = [subscript_slice(scope, p) for p in parts] + [ast.Slice() for _ in range(rank - len(parts))]
    moved = [moved[0], *moved[2:], moved[1]]
    while (
        len(moved) > 1
        and isinstance(moved[-1], ast.Slice)
        and not (moved[-1].lower or moved[-1].upper or moved[-1].step)
    ):
        moved.pop()
    return moved[0] if len(moved) == 1 else ast.Tuple(moved, ast.Load())


def is_mask(scope: Scope, part: ast.expr) -> bool:
    return "tensor" in scope.kinds(part) and "bool" in scope.seen(part).dtypes


def masked_item(scope: Scope, n: ast.Subscript) -> ast.expr:
    """`x[mask]` and `x[:, mask]`: the shape depends on the mask's values, which are read back."""
    last, out_last = scope.is_last(n.value), scope.is_last(n)
    if (last or out_last) and (isinstance(n.slice, ast.Tuple) or scope.rank(n.slice) != 1):
        raise HoleError("boolean mask indexing of a channels-last value")
    if isinstance(n.slice, ast.Tuple):
        from portwright.codegen.translate.scatter import positions

        parts: list[ast.expr] = []
        for part in n.slice.elts:
            rank = scope.rank(part)
            if not is_mask(scope, part):
                parts.append(subscript_slice(scope, part))
            elif rank and scope.seen(part).dtypes == {"bool"}:
                parts += positions(scope.expr(part), rank)
            else:
                raise HoleError("an index that is not always a mask of one rank")
        return ast.Subscript(scope.expr(n.value), ast.Tuple(parts, ast.Load()), ast.Load())
    x, rank = scope.expr(n.value), scope.rank(n.value) or 0
    x = to_last(x, rank) if out_last and not last else x  # the first axis is the same in both layouts
    x = to_first(x, rank) if last and not out_last else x
    made = ast.Call(ast.Name("where_true", ast.Load()), [x, scope.expr(n.slice)], [])
    return ask(made, Demand("snippet", "where_true"))


def tensor_item(scope: Scope, n: ast.Subscript) -> ast.expr:
    """An item or slice of a tensor."""
    for part in n.slice.elts if isinstance(n.slice, ast.Tuple) else [n.slice]:
        if is_mask(scope, part):
            return masked_item(scope, n)
    x, rank = scope.expr(n.value), scope.rank(n.value)
    last, out_last = scope.is_last(n.value), scope.is_last(n)
    if not last and not out_last:
        return ast.Subscript(x, tensor_index(scope, n.slice), ast.Load())
    out_rank = scope.rank(n)
    if rank is None or out_rank is None:
        raise HoleError("a slice of a channels-last value of several ranks")
    parts = unfolded(n.slice.elts if isinstance(n.slice, ast.Tuple) else [n.slice], rank)
    if last and out_last and all(isinstance(p, ast.Slice) for p in parts):
        return ast.Subscript(x, moved_slices(scope, parts, rank), ast.Load())
    if last and out_last and picks_positions(scope, parts):
        taken = [subscript_slice(scope, p) for p in parts[2:]] + [ast.Slice() for _ in range(rank - len(parts))]
        while isinstance(taken[-1], ast.Slice) and not (taken[-1].lower or taken[-1].upper or taken[-1].step):
            taken.pop()
        return ast.Subscript(x, ast.Tuple([ast.Slice(), *taken], ast.Load()), ast.Load())
    item = ast.Subscript(to_first(x, rank) if last else x, subscript_slice(scope, n.slice), ast.Load())
    return to_last(item, out_rank) if out_last else item
