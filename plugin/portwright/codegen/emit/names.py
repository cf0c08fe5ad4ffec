"""Names and attributes: what they are called in the port, and which config field, constant or module they are."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import cast

import mlx.nn as nn

from portwright.codegen.emit.configs import config_demands, config_keys
from portwright.codegen.emit.globals import dtype, global_name, is_standard, referred
from portwright.codegen.emit.layer_attributes import (
    SETTINGS,
    bias_demands,
    convolution_weight,
    is_layer_setting,
    torch_layer_attribute,
)
from portwright.codegen.emit.parts import part, presence, whole
from portwright.codegen.emit.passed_over import passed_over
from portwright.codegen.emit.properties import is_computed, is_saved
from portwright.codegen.emit.provenance import RUN_FIELDS, config_field
from portwright.codegen.emit.results import element, element_of_call
from portwright.codegen.emit.scope import DTYPES, Scope, expression
from portwright.codegen.emit.sequences import layer_by_name
from portwright.codegen.emit.values import as_value, layer_class
from portwright.codegen.facts.record import Demand, ask, assumed_in
from portwright.codegen.facts.returns import asks_presence
from portwright.codegen.holes import HoleError
from portwright.codegen.program import Program
from portwright.codegen.quote import literal, quote
from portwright.codegen.runtime.caches import cache_name
from portwright.codegen.translate.constructors import CONSTRUCTORS
from portwright.nesting import holds_described_module

RESERVED = frozenset(n for n in dir(nn.Module) if not n.startswith("__")) | {"training"}
NAMED_RESULTS = {"values": 0, "indices": 1}  # of torch.max, sort and topk
QUANTIZED = frozenset({"Linear", "Embedding"})  # torch's layers whose MLX counterparts `nn.quantize` replaces
DTYPE_TESTS = {"is_floating_point": "floating", "is_complex": "complexfloating"}
SHARED_ATTRIBUTES = frozenset({"weight", "bias"})  # of torch's own layers that MLX's have too, under the same name
DTYPE_NAMES = frozenset({*DTYPES, "float32", "float16", "bfloat16", "int32", "int8", "uint8", "complex64"})


def attribute_name(program: Program, classes: Iterable[str], attr: str) -> str:
    """What an attribute of modules of these classes is called in the port.

    MLX takes every array attribute for a parameter unless its name begins with `_`, takes no parameter or module from
    one that does, and keeps some names for itself.
    """
    roles = set()
    for cls in classes:
        for module in program.instances.get(cls, ()):
            roles |= {t.role for t in module.tensors if t.name == attr}
            if program.is_torch(cls):  # the weight that torch computes of its parts is no tensor of the port's layer
                roles -= {"attribute"}
            roles |= {"module" for child in module.children if child == attr}
    if roles & {"temporary", "attribute"}:
        return attr if attr.startswith("_") else f"_{attr}"
    if roles and attr.startswith("_"):
        attr = attr.lstrip("_") or attr
    return f"{attr}_" if attr in RESERVED else attr


def holder_classes(scope: Scope, holder: ast.expr) -> frozenset[str]:
    """The classes of the modules that an expression was."""
    if isinstance(holder, ast.Name) and holder.id == scope.self_name:
        seen = scope.trace.params.get(holder.id)
        if seen is not None and seen.types:
            return seen.types
        return frozenset(concrete_classes(scope.program, scope.trace.owner))
    return scope.seen(holder).types


def slot_roles(program: Program, classes: Iterable[str], attr: str) -> frozenset[str]:
    """What a tensor of this name is in the modules of these classes (`TensorSlot.role`)."""
    modules = [m for cls in classes for m in program.instances.get(cls, ())]
    return frozenset(t.role for m in modules for t in m.tensors if t.name == attr)


def concrete_classes(program: Program, owner: str) -> list[str]:
    """Observed classes that a class's methods run on."""
    return [cls for cls in program.instances if owner in program.lineage(cls)] or [owner]


@expression(ast.Name)
def name(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.Name, node)
    cache = cache_name(scope, n)
    if cache is not None:
        return cache
    if n.id in scope.folded:
        return ask(literal(scope.folded[n.id]), *passed_over(scope, n))
    if n.id in scope.from_config:
        return scope.expr(scope.from_config[n.id])
    emptied = empty_variadic(scope, n)
    if emptied is not None:
        return emptied
    if n.id in scope.entry_literals and not scope.in_function:
        value, first_store = scope.entry_literals[n.id]
        if n.lineno <= first_store:
            return ask(literal(value), *passed_over(scope, n))
    if n.id in scope.local_literals and scope.reached_stores.get(n.id) == 1:
        value = scope.local_literals[n.id]
        return ask(literal(cast(ast.Constant, value).value), *assumed_in(value), *passed_over(scope, n))
    trace = scope.program.trace
    if (
        scope.is_root_init
        and trace.config_style != "object"
        and n.id in scope.params[1:]
        and scope.reached_stores.get(n.id) == 1
    ):
        if any(holds_described_module({**m.config, **m.config.get("kwargs", {})}.get(n.id)) for m in trace.models):
            raise HoleError(f"{n.id} holds modules that are made outside the reference")
        if n.id in scope.trace.default_refs and not any(n.id in m.config.get("kwargs", m.config) for m in trace.models):
            return referred(scope, n.id, scope.trace.default_refs[n.id])
        return ask(quote(f"config.{n.id}"), Demand("config", n.id), *passed_over(scope, n))
    if n.id in scope.parts:
        return presence(scope, n.id) if asks_presence(scope.function, n) else whole(scope, n)
    if n.id in scope.locals:
        if n.id in scope.result_vars and scope.results[scope.result_vars[n.id][0]].size > 0:
            return ask(ast.Name(n.id, ast.Load()), *[Demand("used", f, -1) for f in scope.result_vars[n.id]])
        return ast.Name(n.id, ast.Load())
    return global_name(scope, n)


def empty_variadic(scope: Scope, node: ast.Name) -> ast.expr | None:
    """`*args` and `**kwargs` that were always empty are empty; what arrives through `**kwargs` is named elsewhere."""
    a = scope.tree.args
    if a.kwarg and node.id == a.kwarg.arg and scope.reached_stores.get(node.id, 0) == 0:
        if scope.trace.starred:
            raise HoleError(f"**{node.id} is used as a whole")
        return ast.Dict([], [])
    if a.vararg and node.id == a.vararg.arg and not scope.reached_stores.get(node.id, 0):
        seen = scope.trace.params.get(node.id)
        if seen is not None and seen.lens == {0}:
            return ast.Tuple([], ast.Load())
    return None


@expression(ast.Attribute)
def attribute(scope: Scope, node: ast.expr) -> ast.expr:
    n = cast(ast.Attribute, node)
    seen, holder = scope.seen(n), scope.kinds(n.value)
    constant = module_constant(scope, n)
    if constant is not None:
        return constant
    if (layer := layer_class(scope, n)) is not None:
        return layer
    if "device" in seen.kinds:
        return ast.Constant(None)
    stored = any(scope.program.may_store(c, n.attr) for c in holder_classes(scope, n.value))
    if n.attr == "dtype" and (isinstance(n.value, ast.Call) or holder == {"module"}) and not stored:
        from portwright.codegen.emit.paths import first_parameter

        parameter = first_parameter(scope, n.value)
        if parameter is not None:
            return ast.Attribute(parameter, "dtype", ast.Load())
    if holder == {"dtype"} and n.attr in DTYPE_TESTS:
        return quote(f"mx.issubdtype(x, mx.{DTYPE_TESTS[n.attr]})", x=scope.expr(n.value))
    if holder == {"device"} and seen.const:
        return literal(seen.consts[0])  # the port runs where MLX runs, and computes as the CPU does
    if n.attr == "training" and "module" in holder:
        return ast.Constant(False)
    if isinstance(n.value, ast.Name) and n.value.id in scope.parts:
        return part(scope, n.value.id, n.attr)
    if isinstance(n.value, ast.Name) and n.value.id in scope.result_vars:
        return element(scope, n.value, scope.result_vars[n.value.id], n.attr)
    if isinstance(n.value, ast.Call) and "output" in holder:
        return element_of_call(scope, n.value, n.attr)
    if holder == {"tuple"} and n.attr in NAMED_RESULTS:
        return item(scope.expr(n.value), NAMED_RESULTS[n.attr])
    field = config_field(scope, n)
    if field:
        return config_read(scope, n, field)
    if holder == {"tensor"}:
        return tensor_attribute(scope, n)
    if is_context(scope, n.value):
        return ast.Name(context_name(scope, n.attr).id, ast.Load())
    is_self = isinstance(n.value, ast.Name) and n.value.id == scope.self_name
    if is_record_field(scope, n):
        return ast.Attribute(scope.expr(n.value), n.attr, ast.Load())
    if "module" in holder or is_self or any(not scope.program.is_torch(c) for c in holder_classes(scope, n.value)):
        return module_attribute(scope, n)
    if holder == {"output"}:
        raise HoleError(f"the field {n.attr} of a result that the port holds as a whole")
    if seen.callees:
        for callee in seen.callees:
            if callee.fid:
                scope.work.translate(callee.fid)
    return ask(ast.Attribute(scope.expr(n.value), n.attr, ast.Load()), Demand("name", n.attr))


def is_record_field(scope: Scope, node: ast.Attribute) -> bool:
    """Whether an attribute is a field of a class that only holds values."""
    held = [scope.program.cls(c) for c in scope.seen(node.value).types]
    return bool(held) and all(c is not None and node.attr in c.fields for c in held)


def is_context(scope: Scope, node: ast.expr) -> bool:
    """Whether a name is the context that torch gives the forward of an autograd function: a place for values."""
    own = isinstance(node, ast.Name) and scope.params[:1] == [node.id]
    return own and scope.trace.name == "forward" and scope.work.is_autograd(scope.trace.owner)


def context_name(scope: Scope, attr: str) -> ast.Name:
    """The local name that a value in the context has in the port."""
    return ast.Name(f"{scope.params[0]}_{attr}", ast.Store())


def item(node: ast.expr, index: int) -> ast.expr:
    """An element of a tuple; of one that is written out, the element itself."""
    if isinstance(node, ast.Tuple) and not any(isinstance(e, ast.Starred) for e in node.elts):
        return ask(node.elts[index], *assumed_in_whole(node))
    return ast.Subscript(node, ast.Constant(index), ast.Load())


def assumed_in_whole(node: ast.Tuple) -> tuple[Demand, ...]:
    """What a tuple as a whole takes for granted, whichever element is taken of it."""
    return tuple(d for d in getattr(node, "demands", ()) if d.kind == "assume")


def module_constant(scope: Scope, node: ast.Attribute) -> ast.expr | None:
    """`torch.float32`, `math.pi`, `torch.pi`: values of Python modules."""
    if not (isinstance(node.value, ast.Name) and node.value.id not in scope.locals):
        return None
    ref = scope.trace.globals.get(node.value.id)
    if ref is None or ref.sort != "module":
        return None
    seen = scope.seen(node)
    if seen.kinds == {"dtype"} and len(seen.dtypes) == 1:
        return dtype(next(iter(seen.dtypes)))
    if ref.name == "torch" and not seen.n and node.attr in DTYPE_NAMES:
        return dtype(node.attr)
    if is_standard(ref.name):
        return None
    if seen.const:
        return literal(seen.consts[0])
    return None


def saved_by(scope: Scope, node: ast.Attribute, public: str) -> bool:
    """Whether a private attribute of a config is what its saved form holds under a field of the public name."""
    trace, items = scope.program.trace, list(scope.seen(node).items)
    for key in config_keys(scope, node.value):
        held = trace.configs.get(key or trace.root_config)
        if held is None or not items or any(list(s.get(public) or ()) != items for s in held.saved[:1]):
            return False
    return True


def config_read(scope: Scope, node: ast.Attribute, field: str) -> ast.expr:
    """A read of a config field, or of something that the config object holds without saving it."""
    seen = scope.seen(node)
    if seen.kinds == {"dtype"}:
        return dtype(next(iter(seen.dtypes)))
    if field in RUN_FIELDS and seen.const:
        return literal(seen.consts[0])
    if field.startswith("_"):
        if seen.const:
            return literal(seen.consts[0])
        if seen.kinds == {"tuple"} and seen.lens == {len(seen.items)} and None not in seen.items:
            return literal(tuple(seen.items))  # what the config's class itself holds
        if saved_by(scope, node, field[1:]):
            public = ast.Attribute(scope.expr(node.value), field[1:], ast.Load())
            return ask(public, *config_demands(scope, node.value, field[1:]))
        raise HoleError(f"the config's private attribute {field}")
    if scope.program.trace.config_style == "explicit":
        return explicit_config_read(scope, node, field)
    config = scope.expr(node.value)
    if field not in scope.program.changed_fields and not all(
        is_saved(scope.program.trace, key, field) or is_computed(scope.program.trace, key, field)
        for key in config_keys(scope, node.value)
    ):
        if seen.const:
            return literal(seen.consts[0])  # what the config class itself says
        raise HoleError(f"the config's {field}, which is not saved with it")
    return ask(ast.Attribute(config, field, ast.Load()), *config_demands(scope, node.value, field))


def explicit_config_read(scope: Scope, node: ast.Attribute, field: str) -> ast.expr:
    """`self.config.x` of a class whose constructor takes each field: the root keeps its config, others the value."""
    if scope.trace.owner in scope.program.lineage(scope.program.trace.root):
        if scope.is_root_init:
            return ask(quote(f"config.{field}"), Demand("config", field))
        holder = ast.Attribute(ast.Name(scope.self_name, ast.Load()), "config", ast.Load())
        read = ask(holder, Demand("live", scope.program.trace.root, "config"))
        return ask(ast.Attribute(read, field, ast.Load()), Demand("config", field))
    if scope.trace.name == "__init__" and field in scope.params:
        return name(scope, ast.Name(field, ast.Load()))
    demands = [Demand("registered", cls, field) for cls in holder_classes(scope, cast(ast.Attribute, node.value).value)]
    return ask(ast.Attribute(ast.Name(scope.self_name, ast.Load()), field, ast.Load()), *demands)


def tensor_attribute(scope: Scope, node: ast.Attribute) -> ast.expr:
    """`x.shape`, `x.dtype`, `x.T` and the like."""
    x = scope.expr(node.value)
    if node.attr in ("dtype", "ndim"):
        return of_weight(scope, node, x) or ast.Attribute(without_transposes(x), node.attr, ast.Load())
    if node.attr in ("data", "requires_grad"):
        return x
    if node.attr == "shape":
        if scope.is_last(node.value):
            return quote("(x.shape[0], x.shape[-1], *x.shape[1:-1])", x=x)
        return ast.Attribute(x, "shape", ast.Load())
    if node.attr in ("real", "imag"):
        return quote(f"mx.{node.attr}(x)", x=x)
    if node.attr == "T":
        if scope.is_last(node.value):
            raise HoleError("transpose of a channels-last value")
        return ast.Attribute(x, "T", ast.Load())
    if node.attr == "mT":
        return quote("x.swapaxes(-1, -2)", x=x)
    raise HoleError(f"the tensor attribute {node.attr}")


def of_weight(scope: Scope, node: ast.Attribute, x: ast.expr) -> ast.expr | None:
    """`layer.weight.dtype` of a layer that may be quantized: its weight then is whole numbers, packed."""
    held = node.value
    if node.attr != "dtype" or not (isinstance(held, ast.Attribute) and held.attr == "weight"):
        return None
    bases = {scope.program.torch_base(cls) for cls in holder_classes(scope, held.value)}
    if not bases or not bases <= QUANTIZED or not isinstance(x, ast.Attribute):
        return None
    return ask(quote("compute_dtype(layer)", layer=x.value), Demand("snippet", "compute_dtype"))


def without_transposes(x: ast.expr) -> ast.expr:
    while isinstance(x, ast.Call) and isinstance(x.func, ast.Attribute) and x.func.attr == "transpose":
        x = x.func.value
    return x


def module_attribute(scope: Scope, node: ast.Attribute) -> ast.expr:
    """An attribute of a module: kept alive, and under the name that MLX allows."""
    classes = holder_classes(scope, node.value)
    seen = scope.seen(node)
    if (layer := layer_by_name(scope, node, classes)) is not None:
        return layer
    bases = {scope.program.torch_base(c) for c in classes}
    if node.attr in SHARED_ATTRIBUTES and "none" in seen.kinds and bases & set(CONSTRUCTORS):
        return quote(f"getattr(x, {node.attr!r}, None)", x=scope.expr(node.value))
    torch_owned = [c for c in classes if scope.program.is_torch(c) and scope.program.is_module(c)]
    if torch_owned and node.attr not in SHARED_ATTRIBUTES and "module" not in seen.kinds:
        return torch_layer_attribute(scope, node, classes)
    if node.attr in SETTINGS and is_layer_setting(scope, classes, node.attr):
        return torch_layer_attribute(scope, node, classes)
    if (
        seen.const
        and not (node.attr in scope.program.stored_attributes and not classes)
        and not any(scope.program.may_store(c, node.attr) or scope.program.method(c, node.attr) for c in classes)
        and not scope.seen(node).callees
        and not any(node.attr in m.numbers for c in classes for m in scope.program.instances.get(c, ()))
        and all(scope.program.is_module(c) for c in classes)  # another object may have been given it
    ):
        return literal(seen.consts[0])  # a constant of the class
    for cls in classes:
        fid = scope.program.method(cls, node.attr)
        if fid:
            scope.work.translate(fid)
    demands = [Demand("live", cls, node.attr) for cls in classes] or [Demand("name", node.attr)]
    methods = [d for c in seen.callees if c.fid for d in as_value(scope, c.fid)]
    getters = [f for f in (scope.program.method(c, node.attr) for c in classes) if f]
    properties = [Demand("call", f) for f in getters]
    properties += [Demand("used", f, -1) for f in getters if scope.program.functions[f].trace.binding == "property"]
    title = attribute_name(scope.program, classes, node.attr)
    out: ast.expr = ast.Attribute(scope.expr(node.value), title, ast.Load())
    bases = {scope.program.torch_base(c) for c in classes}
    if node.attr == "weight" and any(b.startswith("Conv") for b in bases):
        out = convolution_weight(out, bases, scope.rank(node))
    if node.attr == "bias" and torch_owned:
        demands += bias_demands(scope, node)
    return ask(out, *demands, *methods, *properties)
