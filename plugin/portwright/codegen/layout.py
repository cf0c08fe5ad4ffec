"""The algebra of layouts: where an axis goes when a value is held channels-last, and how to get there and back."""

from __future__ import annotations

import ast

from portwright.codegen.quote import is_none, method, plain


def last_axis(axis: int, rank: int) -> int:
    """The place, channels-last, of a channels-first axis."""
    axis %= rank
    return 0 if axis == 0 else rank - 1 if axis == 1 else axis - 1


def to_last_perm(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def to_first_perm(rank: int) -> tuple[int, ...]:
    return (0, rank - 1, *range(1, rank - 1))


def permutation_of(node: ast.expr) -> tuple[ast.expr, tuple[int, ...]] | None:
    """`x.transpose(0, 3, 1, 2)` as (x, (0, 3, 1, 2)), None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "transpose":
        axes = [plain(a) for a in node.args]
        if len(axes) > 1 and all(isinstance(i, int) for i in axes) and not node.keywords:
            return node.func.value, tuple(i % len(axes) for i in axes)
    return None


def transpose(node: ast.expr, axes: tuple[int, ...]) -> ast.expr:
    """Permute axes; a transpose of a transpose is one, and one that does nothing is none."""
    inner = permutation_of(node)
    if inner is not None and len(inner[1]) == len(axes):
        node, axes = inner[0], tuple(inner[1][i] for i in axes)
    if axes == tuple(range(len(axes))):
        return node
    return simplified(method(node, "transpose", *[ast.Constant(i) for i in axes]))


def to_last(node: ast.expr, rank: int) -> ast.expr:
    """A channels-first expression, held channels-last."""
    if rank < 3:
        return node
    spread = broadcast_vector(node, rank)
    if spread is not None:
        return spread
    reshaped = reshape_of(node)
    if reshaped is not None and len(reshaped[1]) == rank:
        # y.transpose(0, 2, 1).reshape(b, c, h, w) is y.reshape(b, h, w, c)
        inner = permutation_of(reshaped[0])
        if inner is not None and inner[1] == (0, 2, 1):
            sizes = reshaped[1]
            return method(inner[0], "reshape", sizes[0], *sizes[2:], sizes[1])
    return transpose(node, to_last_perm(rank))


def to_first(node: ast.expr, rank: int) -> ast.expr:
    """A channels-last expression, as channels-first."""
    return node if rank < 3 else transpose(node, to_first_perm(rank))


def broadcast_vector(node: ast.expr, rank: int) -> ast.expr | None:
    """`t[:, :, None, None]` channels-last is `t[:, None, None, :]`."""
    if not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == rank):
        return None
    parts = node.slice.elts
    full = [isinstance(p, ast.Slice) and not (p.lower or p.upper or p.step) for p in parts]
    new = [isinstance(p, ast.Constant) and is_none(p) for p in parts]
    if not all(f or n for f, n in zip(full, new, strict=True)) or [i for i, f in enumerate(full) if f] != [0, 1]:
        return None
    moved = ast.Tuple([parts[0], *parts[2:], parts[1]], ast.Load())
    return ast.Subscript(node.value, moved, ast.Load())


def reshape_of(node: ast.expr) -> tuple[ast.expr, list[ast.expr]] | None:
    """`x.reshape(a, b)` as (x, [a, b])."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "reshape"
        and not any(isinstance(a, ast.Starred) for a in node.args)
    ):
        return node.func.value, node.args
    return None


def simplified(node: ast.expr) -> ast.expr:
    """`x.transpose(0, 3, 1, 2).reshape(b, c, n).transpose(0, 2, 1)` is `x.reshape(b, n, c)`; flatten likewise."""
    outer = permutation_of(node)
    if outer is None or outer[1] != (0, 2, 1):
        return node
    reshaped = reshape_of(outer[0])
    if reshaped is not None and len(reshaped[1]) == 3:
        inner = permutation_of(reshaped[0])
        if inner is not None and inner[1] == to_first_perm(len(inner[1])) and len(inner[1]) > 3:
            b, c, n = reshaped[1]
            return method(inner[0], "reshape", b, n, c)
    flat = outer[0]
    if isinstance(flat, ast.Call) and isinstance(flat.func, ast.Attribute) and flat.func.attr == "flatten":
        inner = permutation_of(flat.func.value)
        axes = [plain(a) for a in flat.args]
        if inner is not None and inner[1] == to_first_perm(len(inner[1])) and axes in ([2], [2, -1]):
            return method(inner[0], "flatten", ast.Constant(1), ast.Constant(len(inner[1]) - 2))
    return node
