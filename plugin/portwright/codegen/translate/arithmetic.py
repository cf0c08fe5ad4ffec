"""Element-wise arithmetic, comparisons, logic and casts."""

from __future__ import annotations

import ast

from portwright.codegen.holes import HoleError
from portwright.codegen.quote import quote
from portwright.codegen.translate.create import dtype_of
from portwright.codegen.translate.registry import Layout, Operation, row, template

E = Layout.ELEMENTWISE

template(
    "rsqrt sqrt cos sin tan log log2 log10 tanh sigmoid abs floor ceil log1p expm1 isnan isinf isfinite "
    "logical_not erf erfinv sign square sinh cosh reciprocal round",
    "input",
    "mx.{name}(input)",
    E,
)
template("absolute", "input", "mx.abs(input)", E)
template("asin arcsin", "input", "mx.arcsin(input)", E)
template("acos arccos", "input", "mx.arccos(input)", E)
template("atan arctan", "input", "mx.arctan(input)", E)
template("asinh arcsinh", "input", "mx.arcsinh(input)", E)
template("acosh arccosh", "input", "mx.arccosh(input)", E)
template("atanh arctanh", "input", "mx.arctanh(input)", E)
template("atan2 arctan2", "input other", "mx.arctan2(input, other)", E)
template("round_", "input", "mx.round(input)", E)
template("trunc fix", "input", "mx.sign(input) * mx.floor(mx.abs(input))", E)
template("frac", "input", "input - mx.sign(input) * mx.floor(mx.abs(input))", E)
template("exp2", "input", "mx.power(2.0, input)", E)
template("neg negative", "input", "-input", E)
template("positive clone detach contiguous cpu cuda requires_grad_ alias", "input", "input", E)
template("minimum maximum", "input other", "mx.{name}(input, other)", E)
template("fmin", "input other", "mx.minimum(input, other)", E)
template("fmax", "input other", "mx.maximum(input, other)", E)
template("eq", "input other", "input == other", E)
template("ne not_equal", "input other", "input != other", E)
template("lt less", "input other", "input < other", E)
template("le less_equal", "input other", "input <= other", E)
template("gt greater", "input other", "input > other", E)
template("ge greater_equal", "input other", "input >= other", E)
template("logical_and logical_or", "input other", "mx.{name}(input, other)", E)
template("logical_xor", "input other", "mx.not_equal(input.astype(mx.bool_), other.astype(mx.bool_))", E)
template("bitwise_and __and__", "input other", "input & other", E)
template("bitwise_or __or__", "input other", "input | other", E)
template("bitwise_xor __xor__", "input other", "input ^ other", E)
template("floor_divide", "input other", "input // other", E)
template("remainder", "input other", "input % other", E)
template("fmod", "input other", "mx.sign(input) * (mx.abs(input) % mx.abs(other))", E)
template("deg2rad", "input", "input * 0.017453292519943295", E)
template("rad2deg", "input", "input * 57.29577951308232", E)
template("rsub", "input other", "other - input", E)
template("masked_fill masked_fill_", "input mask value", "mx.where(mask, value, input)", E)
template("lerp", "input end weight", "input + weight * (end - input)", E)
template("addcmul", "input tensor1 tensor2 value=1", "input + value * tensor1 * tensor2", E)
template("logaddexp", "input other", "mx.logaddexp(input, other)", E)
template("hypot", "input other", "mx.sqrt(mx.square(input) + mx.square(other))", E)
template("nan_to_num", "input nan=0.0", "mx.nan_to_num(input, nan)", E)
template("float", "input", "input.astype(mx.float32)", E)
template("double", "input", "input.astype(mx.float32)", E)
template("half", "input", "input.astype(mx.float16)", E)
template("bfloat16", "input", "input.astype(mx.bfloat16)", E)
template("byte", "input", "input.astype(mx.uint8)", E)
template("long int", "input", "input.astype(mx.int32)", E)
template("bool", "input", "input.astype(mx.bool_)", E)
template("type_as", "input other", "input.astype(other.dtype)", E)
template("logit", "input", "mx.log(input / (1 - input))", E)

OPERATORS = {"add": ast.Add, "sub": ast.Sub, "subtract": ast.Sub, "mul": ast.Mult, "multiply": ast.Mult, "div": ast.Div}


@row("add add_ sub sub_ subtract mul mul_ multiply div_", "input other alpha=1", E)
def arithmetic(op: Operation) -> ast.expr:
    other = op["other"]
    if op.get("alpha") is not None and (set(op.constants("alpha")) != {1} or op.value("alpha") != 1):
        other = quote("alpha * other", alpha=op["alpha"], other=other)
    return ast.BinOp(op["input"], OPERATORS[op.name.rstrip("_")](), other)


def as_array(op: Operation, name: str) -> ast.expr:
    """An operand that may be a Python number."""
    return op[name] if op.kinds(name) == {"tensor"} else quote("mx.array(x)", x=op[name])


@row("div divide true_divide", "input other rounding_mode=None", E)
def divide(op: Operation) -> ast.expr:
    mode = op.value("rounding_mode")
    if mode == "floor":
        return quote("input // other", input=op["input"], other=op["other"])
    if mode == "trunc":
        signs = quote("mx.sign(x) * mx.sign(y)", x=as_array(op, "input"), y=as_array(op, "other"))
        return quote("s * (mx.abs(x) // mx.abs(y))", s=signs, x=as_array(op, "input"), y=as_array(op, "other"))
    return quote("input / other", input=op["input"], other=op["other"])


@row("pow pow_ float_power", "input exponent", E)
def power(op: Operation) -> ast.expr:
    if op.args["exponent"] is not None and isinstance(op["exponent"], ast.Constant) and op["exponent"].value == 2:
        return quote("mx.square(input)", input=op["input"])
    if op.kinds("input") == {"tensor"}:
        return quote("input**exponent", input=op["input"], exponent=op["exponent"])
    return quote("mx.power(input, exponent)", input=op["input"], exponent=op["exponent"])


@row("clamp clip clamp_", "input min=None max=None", E)
def clamp(op: Operation) -> ast.expr:
    low, high = op.get("min"), op.get("max")
    if high is None and low is not None:
        return quote("mx.maximum(x, low)", x=op["input"], low=low)
    if low is None and high is not None:
        return quote("mx.minimum(x, high)", x=op["input"], high=high)
    return quote("mx.clip(x, low, high)", x=op["input"], low=op["min"], high=op["max"])


template("clamp_min", "input min", "mx.maximum(input, min)", E)
template("clamp_max", "input max", "mx.minimum(input, max)", E)


@row("to type", "input dtype=None other=None", E)
def cast(op: Operation) -> ast.expr:
    """`x.to(dtype)`, `x.to(device)`, `x.to(other)` and any two of them."""
    from portwright.codegen.emit.globals import dtype

    for name in ("dtype", "other"):
        if name not in op.raw:
            continue
        kinds = op.kinds(name)
        if kinds == {"tensor"}:
            return quote("x.astype(y.dtype)", x=op["input"], y=op[name])
        if "dtype" in kinds:
            seen = op.scope.seen(op.raw[name])
            target = op[name]
            if isinstance(op.raw[name], ast.Attribute) and len(seen.dtypes) == 1 and isinstance(target, ast.Constant):
                target = dtype(next(iter(seen.dtypes)))
            return quote("x.astype(d)", x=op["input"], d=target)
        if kinds - {"device", "none", "str", "int"}:
            raise HoleError(f"to({', '.join(sorted(kinds))})")
        if kinds == {"str"} and str(op.value(name)).startswith("torch."):
            raise HoleError("a cast by the name of a type")
    return op["input"]


@row("zeros_like ones_like empty_like", "input dtype=None", E)
def filled_like(op: Operation) -> ast.expr:
    function = "mx.ones" if op.name == "ones_like" else "mx.zeros"
    dtype = dtype_of(op)
    if dtype is None:
        return quote(f"{function}_like(x)", x=op["input"])
    return quote(f"{function}(x.shape, dtype=d)", x=op["input"], d=dtype)


@row("full_like", "input fill_value dtype=None", E)
def full_like(op: Operation) -> ast.expr:
    dtype = dtype_of(op) or quote("x.dtype", x=op["input"])
    return quote("mx.full(x.shape, v, dtype=d)", x=op["input"], v=op["fill_value"], d=dtype)


template("zero_", "input", "mx.zeros_like(input)", E)
template("fill_", "input value", "mx.full(input.shape, value, dtype=input.dtype)", E)


template("element_size", "input", "input.dtype.size", Layout.AWARE)


@row("is_floating_point", "input")
def is_floating(op: Operation) -> ast.expr:
    return quote("mx.issubdtype(x.dtype, mx.floating)", x=op["input"])


@row("polar", "abs angle", E)
def polar(op: Operation) -> ast.expr:
    return quote("r * mx.exp(1j * t)", r=op["abs"], t=op["angle"])


template("real", "input", "mx.real(input)", E)
template("imag", "input", "mx.imag(input)", E)
template("conj", "input", "mx.conjugate(input)", E)
template("view_as_real", "input", "mx.stack([mx.real(input), mx.imag(input)], axis=-1)")
template("view_as_complex", "input", "input[..., 0] + 1j * input[..., 1]")
template("complex", "real imag", "real + 1j * imag", E)
