"""Making tensors: constants, ranges, masks."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.emit.scalars import stays_number
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import call, quote, tuple_of
from portwright.codegen.translate.registry import Operation, row, template

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope


PYTHON_TYPES = {"bool": "mx.bool_", "int": "mx.int32", "float": "mx.float32"}  # which torch takes for dtypes too


def dtype_of(op: Operation) -> ast.expr | None:
    """The dtype argument, or the integer type that torch infers from whole numbers."""
    given = op.raw.get("dtype")
    if isinstance(given, ast.Name) and given.id in PYTHON_TYPES and given.id not in op.scope.locals:
        return quote(PYTHON_TYPES[given.id])
    return op.get("dtype")


@row("arange", "*bounds dtype=None start=None end=None step=None")
def arange(op: Operation) -> ast.expr:
    named = [k for k in ("start", "end", "step") if op.get(k) is not None]
    given = [*zip(op.raw_star, op.star, strict=True), *[(op.raw[k], op[k]) for k in named]]
    bounds = [quote("x.item()", x=x) if "tensor" in op.scope.kinds(raw) else x for raw, x in given]
    return call("mx.arange", *bounds, dtype=dtype_of(op))


@row("linspace", "start end steps dtype=None")
def linspace(op: Operation) -> ast.expr:
    return call("mx.linspace", op["start"], op["end"], op["steps"], dtype=dtype_of(op))


def shape(op: Operation) -> ast.expr:
    """The sizes as one tuple."""
    sizes = op.sizes("size")
    if len(sizes) == 1 and isinstance(sizes[0], ast.Starred):
        return sizes[0].value
    return sizes[0] if len(sizes) == 1 else tuple_of(sizes)


FILLED = {
    "zeros": "mx.zeros",
    "ones": "mx.ones",
    "empty": "mx.zeros",
    "new_zeros": "mx.zeros",
    "new_ones": "mx.ones",
    "new_empty": "mx.zeros",
}


@row("zeros ones empty", "*size dtype=None")
def filled(op: Operation) -> ast.expr:
    return call(FILLED[op.name], shape(op), dtype=dtype_of(op))


@row("new_zeros new_ones new_empty", "input *size dtype=None")
def new_filled(op: Operation) -> ast.expr:
    dtype = dtype_of(op) or quote("x.dtype", x=op["input"])
    return call(FILLED[op.name], shape(op), dtype=dtype)


@row("new_full", "input size fill_value dtype=None")
def new_full(op: Operation) -> ast.expr:
    dtype = dtype_of(op) or quote("x.dtype", x=op["input"])
    return call("mx.full", op["size"], op["fill_value"], dtype=dtype)


@row("full", "size fill_value dtype=None")
def full(op: Operation) -> ast.expr:
    if "dtype" not in op.raw and stays_number(op.scope, op.node):
        return op["fill_value"]
    return call("mx.full", op["size"], op["fill_value"], dtype=dtype_of(op))


def starts_parameter(scope: Scope, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression of a constructor goes nowhere but into the first values of parameters."""
    if scope.trace.name != "__init__" or depth > 6:
        return False
    while not isinstance(node, ast.stmt):
        node = scope.function.parents[node]
        if isinstance(node, ast.Call) and {c.name for c in scope.seen(node).callees} == {"Parameter"}:
            return True
    if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
        return False
    name = node.targets[0].id
    reads = [
        n for n in scope.function.nodes if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)
    ]
    own = [n for n in reads if n.lineno > (node.end_lineno or 0)]
    return bool(own) and all(starts_parameter(scope, n, depth + 1) for n in own)


@row("randn rand", "*size dtype=None")
def random(op: Operation) -> ast.expr:
    if op.scope.random_is_zero or starts_parameter(op.scope, op.node):  # weights are loaded over it
        return call("mx.zeros", shape(op), dtype=dtype_of(op))
    raise HoleError("random numbers: two libraries never draw the same, so they must be an input")


@row("normal_", "input mean=0 std=1 generator=None")
@row("uniform_", "input from=0 to=1 generator=None")
def drawn_in_place(op: Operation) -> ast.expr:
    if op.scope.random_is_zero or op.scope.trace.name == "__init__":
        return op["input"]  # where weights are loaded over it; a buffer that is drawn would show as a difference
    raise HoleError("random numbers: two libraries never draw the same, so they must be an input")


@row("normal", "mean std=1.0 size=None dtype=None")
def normal(op: Operation) -> ast.expr:
    if op.scope.random_is_zero and op.get("size") is not None:
        return call("mx.zeros", op["size"], dtype=dtype_of(op))
    raise HoleError("random numbers: two libraries never draw the same, so they must be an input")


@row("randint randn_like rand_like randperm bernoulli multinomial", "*size dtype=None")
def random_like(op: Operation) -> ast.expr:
    raise HoleError("random numbers: two libraries never draw the same, so they must be an input")


@row("tensor as_tensor asarray", "data dtype=None")
def tensor(op: Operation) -> ast.expr:
    if op.kinds("data") == {"tensor"}:
        return op["data"] if op.get("dtype") is None else quote("x.astype(d)", x=op["data"], d=op["dtype"])
    if "dtype" not in op.raw and stays_number(op.scope, op.node):
        return op["data"]
    return call("mx.array", op["data"], dtype=dtype_of(op))


TYPED = {
    "Tensor": "float32",
    "FloatTensor": "float32",
    "LongTensor": "int32",
    "IntTensor": "int32",
    "BoolTensor": "bool_",
}


@row("Tensor FloatTensor LongTensor IntTensor BoolTensor", "*data")
def typed_tensor(op: Operation) -> ast.expr:
    """`torch.Tensor([...])`; of sizes, memory for what a constructor is given later, as `empty` is."""
    kinds = [op.scope.kinds(raw) for raw in op.raw_star]
    dtype = quote(f"mx.{TYPED[op.name]}")
    if op.scope.trace.name == "__init__" and kinds and all(k and k <= {"int", "size"} for k in kinds):
        return call("mx.zeros", shape(op), dtype=dtype)
    if len(kinds) != 1 or not kinds[0] or kinds[0] & {"int", "float", "size", "none"}:
        raise HoleError(f"{op.name} that is not made of given numbers")
    if kinds[0] == {"tensor"}:
        return quote("x.astype(d)", x=op.star[0], d=dtype)
    return call("mx.array", op.star[0], dtype=dtype)


@row("new_tensor", "input data dtype=None")
def new_tensor(op: Operation) -> ast.expr:
    return call("mx.array", op["data"], dtype=dtype_of(op) or quote("x.dtype", x=op["input"]))


@row("scalar_tensor", "data dtype=None")
def scalar_tensor(op: Operation) -> ast.expr:
    return call("mx.array", op["data"], dtype=dtype_of(op))


@row("eye", "n m=None dtype=None")
def eye(op: Operation) -> ast.expr:
    return call("mx.eye", op["n"], *([op["m"]] if op.get("m") is not None else []), dtype=dtype_of(op))


template("triu tril", "input diagonal=0", "mx.{name}(input, diagonal)")
template("triu_", "input diagonal=0", "mx.triu(input, diagonal)")
template("tril_", "input diagonal=0", "mx.tril(input, diagonal)")
template("diag diagonal", "input", "mx.{name}(input)")
template("finfo", "dtype", "mx.finfo(dtype)")
template("iinfo", "dtype", "mx.iinfo(dtype)")


@row("is_compiling is_dynamo_compiling is_exporting is_grad_enabled is_scripting is_tracing", "")
def plainly_run(op: Operation) -> ast.expr:
    """A port is run as it is written."""
    return ast.Constant(False)
