"""Apply a row to a call: bind the arguments, bring operands to the layout that the row wants, build."""

from __future__ import annotations

import ast

from portwright.codegen.emit.choices import chosen_keywords
from portwright.codegen.emit.expressions import meet
from portwright.codegen.emit.scope import Scope, expanded_keywords
from portwright.codegen.facts.record import ask, assumed_in
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_first, to_last
from portwright.codegen.quote import is_literal
from portwright.codegen.trace import Callee
from portwright.codegen.translate import load_rows
from portwright.codegen.translate.library import LIBRARY_ROWS
from portwright.codegen.translate.registry import ROWS, Layout, Operation, Row

ALIASES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other", "self": "input"}
# Arguments that say where and how torch computes, not what.
IGNORED = frozenset(
    [
        "device",
        "non_blocking",
        "copy",
        "memory_format",
        "inplace",
        "generator",
        "layout",
        "requires_grad",
        "training",
        "pin_memory",
        "_stacklevel",
        "backend",  # of attention, and where its parts run
        "parallel_config",
    ]
)

# Rows that take a value as one line of numbers where they are given no axis.
ORDERED = frozenset({"argmax", "argmin", "roll", "repeat_interleave"})

load_rows()


def is_library_row(callee: Callee) -> bool:
    """Whether a library's own function (not torch's) has a row."""
    return row_title(callee) in LIBRARY_ROWS and not callee.torch


def row_title(callee: Callee) -> str:
    """The name of a library function's row; those of packages with names of the everyday carry the package's."""
    top = callee.module.partition(".")[0]
    return f"{top}.{callee.name}" if top in ("numpy", "einops") else callee.name


def apply_row(scope: Scope, n: ast.Call, callee: Callee) -> ast.expr:
    """The MLX tree of one call of a leaf function. Raises HoleError where there is no row or an argument is unknown."""
    table = ROWS if callee.torch else LIBRARY_ROWS
    found = table.get(callee.name if callee.torch else row_title(callee)) or in_place_row(scope, n, callee)
    if callee.module == "torch.nn.functional":  # a function of another sense than the method of its name
        found = table.get(f"F.{callee.name}", found)
    if found is None:
        raise HoleError(f"no row for torch's {callee.name}")
    is_method = isinstance(n.func, ast.Attribute) and bool(scope.kinds(n.func.value) & {"tensor"})
    if not callee.torch and callee.sort == "method":
        is_method = True
    op = bound(scope, n, found, is_method)
    literals = [a for a in (*op.args.values(), *op.star) if is_literal(a)]  # a row may read these and not pass them on
    carried = [d for a in literals for d in assumed_in(a)]
    return ask(laid_out(scope, n, found, op), *op.assumed, *carried, *chosen_keywords(scope, n))


def in_place_row(scope: Scope, n: ast.Call, callee: Callee) -> Row | None:
    """The row of `x.abs_()`, where nothing but the value counts: x is made on the spot, or its name is bound again."""
    found = ROWS.get(callee.name.removesuffix("_")) if callee.torch and callee.name.endswith("_") else None
    if found is None or found.layout not in (Layout.ELEMENTWISE, Layout.AXIS) or not isinstance(n.func, ast.Attribute):
        return None
    root: ast.expr = n.func.value
    while isinstance(root, ast.Call) and isinstance(root.func, ast.Attribute) and root.func.attr.endswith("_"):
        root = root.func.value
    above: ast.AST = n
    while not isinstance(above, ast.stmt) and above in scope.function.parents:
        above = scope.function.parents[above]
    return found if isinstance(root, (ast.Call, ast.BinOp)) or isinstance(above, ast.Expr) else None


def bound(scope: Scope, n: ast.Call, found: Row, is_method: bool) -> Operation:
    """Bind positional and keyword arguments to the row's parameters."""
    op = Operation(scope, n, found.name, {}, {})
    names = [p for p, _ in found.parameters]
    places = list(names)
    values = list(n.args)
    if is_method:
        assert isinstance(n.func, ast.Attribute)
        values = [n.func.value, *values]
    if not found.variadic:
        values = [item for v in values for item in ([v] if not isinstance(v, ast.Starred) else spread(scope, found, v))]
    for index, value in enumerate(values):
        if found.variadic and index >= found.leading:
            op.raw_star.append(value)
            op.star.append(scope.expr(value))
        elif index < len(places):
            op.raw[places[index]] = value
            op.args[places[index]] = scope.expr(value)
        else:
            raise HoleError(f"{found.name}: too many arguments")
    for k in expanded_keywords(scope, n):
        keyword(scope, op, found, names, k)
    return op


def spread(scope: Scope, found: Row, value: ast.Starred) -> list[ast.expr]:
    """The items of `*xs`, which is written out, or always holds as many."""
    from portwright.codegen.emit.units import spread_items

    if isinstance(value.value, (ast.Tuple, ast.List)):
        return value.value.elts
    if len(scope.seen(value.value).lens) != 1:
        raise HoleError(f"{found.name} with *arguments")
    return spread_items(scope, value)


def keyword(scope: Scope, op: Operation, found: Row, names: list[str], k: ast.keyword) -> None:
    """Bind one keyword argument."""
    if k.arg is None:
        a = scope.tree.args
        if isinstance(k.value, ast.Name) and a.kwarg and k.value.id == a.kwarg.arg and not scope.trace.starred:
            return
        raise HoleError(f"{found.name} with **arguments")
    if k.arg in IGNORED and k.arg not in names and not found.open:
        return
    name = k.arg if k.arg in names or found.open else ALIASES.get(k.arg, k.arg)
    if name == found.variadic:
        op.raw_star.append(k.value)
        op.star.append(scope.expr(k.value))
        return
    if name not in names and not found.open:
        if scope.kinds(k.value) == {"none"}:
            return
        raise HoleError(f"{found.name}: the argument {k.arg} is not known to its row")
    op.raw[name] = k.value
    op.args[name] = scope.expr(k.value)


def laid_out(scope: Scope, n: ast.Call, found: Row, op: Operation) -> ast.expr:
    """Build in the layout that the row can do, with transposes where it cannot."""
    if found.layout is Layout.AWARE:
        return found.build(op)
    everything = [*op.raw.items(), *((f"*{i}", r) for i, r in enumerate(op.raw_star))]
    last = [k for k, r in everything if "tensor" in scope.kinds(r) and scope.is_last(r)]
    out_last = scope.kinds(n) == {"tensor"} and scope.is_last(n)
    if not last and not out_last:
        return found.build(op)
    if found.layout is Layout.ELEMENTWISE and out_last:
        rank = scope.rank(n)
        for k in op.args:
            op.args[k] = meet(scope, op.raw[k], op.args[k], rank)
        return found.build(op)
    if found.layout is Layout.AXIS and last and keeps_layout(scope, n, out_last) and not counts_places(op):
        return found.build(op)
    return opaque(scope, n, found, op, out_last)


def keeps_layout(scope: Scope, n: ast.Call, out_last: bool) -> bool:
    """Whether an axis row's result needs no transpose: it is channels-last too, or has too few axes to be either."""
    seen = scope.seen(n)
    if out_last or "tensor" not in seen.kinds:
        return all(t in ("cl", "-") for t in seen.element_tags)
    return all(r < 3 for r in seen.ranks)


def counts_places(op: Operation) -> bool:
    """Whether a row goes through all numbers in their order, which another layout changes."""
    return op.name in ORDERED and op.get("dim") is None and op.get("dims") is None


def opaque(scope: Scope, n: ast.Call, found: Row, op: Operation, out_last: bool) -> ast.expr:
    """Operands to channels-first, the result back."""
    raw = dict(op.raw)
    for k, r in raw.items():
        if "tensor" in scope.kinds(r) and scope.is_last(r):
            op.args[k] = to_first(op.args[k], op.rank(k))
            op.raw[k] = plainly(op.raw[k])
    for _i, r in enumerate(op.raw_star):
        if "tensor" in scope.kinds(r) and scope.is_last(r):
            raise HoleError(f"{found.name} of several channels-last values")
    if any("cl" in t for t in scope.seen(n).element_tags):
        raise HoleError(f"{found.name} gives several channels-last values")
    made = found.build(op)
    rank = scope.rank(n)
    if out_last:
        if rank is None:
            raise HoleError(f"{found.name}: the rank of its result is not known")
        return to_last(made, rank)
    return made


def plainly(node: ast.expr) -> ast.expr:
    """The same source expression, marked as brought to channels-first."""
    out = ast.copy_location(type(node)(**dict(ast.iter_fields(node))), node)
    out.number = getattr(node, "number", -1)  # type: ignore[attr-defined]
    out.stands = getattr(node, "stands", None)  # type: ignore[attr-defined]
    out.first = True  # type: ignore[attr-defined]
    return out
