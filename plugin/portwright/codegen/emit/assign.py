"""Assignments: unpackings of results and shapes, attributes of modules, slices."""

from __future__ import annotations

import ast
from typing import Any, cast

from portwright.codegen.emit.children import replaced_child
from portwright.codegen.emit.computed import formatted, write_computed
from portwright.codegen.emit.configs import config_keys, field_of
from portwright.codegen.emit.items import last_item
from portwright.codegen.emit.keywords import is_own, set_keyword
from portwright.codegen.emit.names import attribute_name, context_name, holder_classes, is_context, slot_roles
from portwright.codegen.emit.parts import assign_parts, part_name
from portwright.codegen.emit.properties import is_assignable
from portwright.codegen.emit.results import result_callees
from portwright.codegen.emit.scope import Scope
from portwright.codegen.emit.sequences import elements, form
from portwright.codegen.emit.sequences import is_own as is_own_sequence
from portwright.codegen.emit.subscript import shape_of, subscript_slice, tensor_index
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_first
from portwright.codegen.quote import is_none, quote
from portwright.codegen.runtime.rope import rotated


def assign(scope: Scope, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt]:
    """`a = b = value` and the single form."""
    if len(targets) > 1:
        if all(isinstance(t, ast.Name) for t in targets):
            return [ast.Assign([target(scope, t) for t in targets], scope.expr(value))]
        out = assign(scope, [targets[-1]], value)
        for t in targets[:-1]:
            out += assign(scope, [t], value)
        return out
    t = targets[0]
    if isinstance(t, ast.Attribute):
        return assign_attribute(scope, t, value)
    if isinstance(t, (ast.Tuple, ast.List)):
        pair = rotated(scope, value) if isinstance(value, ast.Call) else None
        if pair is not None and len(t.elts) == len(pair.elts):
            return [ast.Assign([target(scope, e)], v) for e, v in zip(t.elts, pair.elts, strict=True)]
        return [unpack(scope, t, value)]
    if isinstance(t, ast.Name) and t.id in scope.parts:
        return assign_parts(scope, t.id, value)
    if isinstance(t, ast.Name) and t.id in scope.result_vars:
        return [ast.Assign([target(scope, t)], scope.work.call(scope, cast(ast.Call, value)))]
    translated = scope.expr(value)
    scope.note_assignment(t, translated)
    if isinstance(t, ast.Subscript):
        return assign_item(scope, t, value, translated)
    return [ast.Assign([target(scope, t)], translated)]


def assign_item(scope: Scope, t: ast.Subscript, value: ast.expr, translated: ast.expr) -> list[ast.stmt]:
    """`x[i] = v`. MLX copies on write: a view's base does not change, so the base must be a name."""
    out: list[ast.stmt] = []
    place = None
    if is_own(scope, t.value):
        return set_keyword(scope, t, translated)
    if (child := replaced_child(scope, t, translated)) is not None:
        return [child]
    if isinstance(t.value, ast.Name) and t.value.id == scope.self_name and "module" in scope.kinds(value):
        made = quote("setattr(x, key, value)", x=scope.expr(t.value), key=scope.expr(t.slice), value=translated)
        return [ast.Expr(made)]  # a dict of modules that its class fills
    if scope.is_tensor(t.value):
        if not isinstance(t.value, (ast.Name, ast.Attribute)):
            raise HoleError("an item of a view is assigned")
        if scope.is_last(t.value):
            place, translated = last_item(scope, t, value, translated)
        elif "tensor" in scope.kinds(value) and scope.is_last(value):
            translated = to_first(translated, scope.rank(value) or 0)
        out = own_copy(scope, t.value)
    return [*out, ast.Assign([place or target(scope, t)], translated)]


def own_copy(scope: Scope, base: ast.expr) -> list[ast.stmt]:
    """MLX changes the array itself, which a copy in torch (dropped in the port) may not have shared."""
    if not (isinstance(base, ast.Name) and base.id in scope.shared):
        return []
    if not scope.nested:
        scope.shared.discard(base.id)
    return [ast.Assign([ast.Name(base.id, ast.Store())], quote("mx.array(x)", x=ast.Name(base.id, ast.Load())))]


def assign_attribute(scope: Scope, t: ast.Attribute, value: ast.expr) -> list[ast.stmt]:
    """`self.x = value`, only where something reads it."""
    if isinstance(t.value, ast.Name) and t.value.id in scope.parts:
        return [ast.Assign([ast.Name(part_name(scope, t.value.id, t.attr), ast.Store())], scope.expr(value))]
    if not (isinstance(t.value, ast.Name) and t.value.id == scope.self_name):
        return assign_config(scope, t, value)
    if is_own_sequence(scope.program, scope.trace.owner) and is_layer(scope, t.attr):
        return [ast.Expr(quote("self.layers.append(x)", self=scope.expr(t.value), x=scope.expr(value)))]
    if not scope.facts.reads(scope.program.lineage(scope.trace.owner)[:1], t.attr):
        relied = (f"{scope.trace.owner}#none", t.attr) in scope.facts.live
        if not relied or scope.seen(value).kinds - {"none"} or not isinstance(value, ast.IfExp):
            return []
    return [set_attribute(scope, t.attr, scope.expr(value))]


def is_layer(scope: Scope, attr: str) -> bool:
    """Whether an attribute of a class derived from a sequence is one of its layers."""
    if scope.trace.name != "__init__":
        return False
    instances = [
        m
        for cls in scope.program.instances
        if scope.trace.owner in scope.program.lineage(cls)
        for m in scope.program.instances[cls]
    ]
    return any(attr in m.children for m in instances)


def assign_config(scope: Scope, t: ast.Attribute, value: ast.expr) -> list[ast.stmt]:
    """`config.x = value`: kept where the port reads the field."""
    if t.attr == "requires_grad" or is_first_value(scope, t):
        return []
    if is_context(scope, t.value):
        return [ast.Assign([context_name(scope, t.attr)], scope.expr(value))]
    types = scope.seen(t.value).types
    unbiased = t.attr == "bias" and scope.kinds(value) == {"none"}
    if unbiased and scope.kinds(t.value) == {"module"} and all(scope.program.is_torch(c) for c in types):
        return [ast.Expr(quote('x.pop("bias", None)', x=scope.expr(t.value)))]  # MLX's layers ask whether they have one
    if is_layers_own(scope, t, value):
        return [ast.Assign([ast.Attribute(scope.expr(t.value), t.attr, ast.Store())], scope.expr(value))]
    if types and not any(scope.facts.reads(scope.program.lineage(cls), t.attr) for cls in types):
        return []  # nothing reads it
    if scope.kinds(t.value) == {"module"} and isinstance(t.value, (ast.Name, ast.Attribute)):
        attr = attribute_name(scope.program, types, t.attr)
        return [ast.Assign([ast.Attribute(scope.expr(t.value), attr, ast.Store())], scope.expr(value))]
    if scope.kinds(t.value) != {"config"}:
        raise HoleError("an attribute of another object is assigned")
    field = field_of(scope, t.value, t.attr)
    if not {(key, field) for key in config_keys(scope, t.value)} & set(scope.facts.config):
        return []
    written = [Demand("written", field, key) for key in config_keys(scope, t.value)]
    if any(not is_assignable(scope.program.trace, key, field) for _, _, key, _ in written):
        raise HoleError(f"config.{field}, which the library computes, is assigned")
    return [ask(ast.Assign([ast.Attribute(scope.expr(t.value), field, ast.Store())], scope.expr(value)), *written)]


def is_first_value(scope: Scope, t: ast.Attribute) -> bool:
    """`layer.weight.data = x` in a constructor: what a weight starts from, and weights are loaded over it."""
    held = t.value
    if t.attr != "data" or scope.trace.name != "__init__" or not isinstance(held, ast.Attribute):
        return False
    return slot_roles(scope.program, holder_classes(scope, held.value), held.attr) == {"parameter"}


def is_layers_own(scope: Scope, t: ast.expr, value: ast.expr) -> bool:
    """Whether a constructor gives a layer the bias that it was made without: the layer reads it."""
    if not isinstance(t, ast.Attribute):
        return False
    types = scope.seen(t.value).types
    layers = bool(types) and all(scope.program.is_torch(c) and scope.program.torch_base(c) == "Linear" for c in types)
    return t.attr == "bias" and layers and scope.kinds(value) == {"tensor"} and scope.trace.name == "__init__"


def set_attribute(scope: Scope, attr: str, value: ast.expr) -> ast.stmt:
    """The statement `self.attr = value` under the name that the port uses."""
    holder = ast.Name(scope.self_name, ast.Load())
    title = attribute_name(scope.program, holder_classes(scope, holder), attr)
    made = ast.Assign([ast.Attribute(holder, title, ast.Store())], value)
    made.attribute = attr  # type: ignore[attr-defined]
    return made


def unpack(scope: Scope, t: ast.Tuple | ast.List, value: ast.expr) -> ast.stmt:
    """`a, b = value`."""
    names = ast.Tuple([target(scope, e) for e in t.elts], ast.Store())
    if isinstance(value, ast.Call):
        fids = result_callees(scope, value)
        if fids and scope.results[fids[0]].size == len(t.elts):
            made = ast.Assign([names], scope.work.call(scope, value))
            made.unpacks = fids  # type: ignore[attr-defined]
            return made
    shape = shape_of(scope, value)
    if shape is not None and scope.is_last(shape) and scope.rank(shape) == len(t.elts):
        e = names.elts
        names = ast.Tuple([e[0], *e[2:], e[1]], ast.Store())
        return ast.Assign([names], quote("x.shape", x=scope.expr(shape)))
    return ast.Assign([names], scope.expr(value))


def target(scope: Scope, t: ast.expr) -> ast.expr:
    """A store target under the port's names."""
    if isinstance(t, (ast.Tuple, ast.List)):
        return ast.Tuple([target(scope, e) for e in t.elts], ast.Store())
    if isinstance(t, ast.Name):
        return ast.Name(t.id, ast.Store())
    if isinstance(t, ast.Starred):
        return ast.Starred(target(scope, t.value), ast.Store())
    if isinstance(t, ast.Subscript):
        index = tensor_index if scope.is_tensor(t.value) else subscript_slice
        return ast.Subscript(scope.expr(t.value), index(scope, t.slice), ast.Store())
    if isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name) and t.value.id == scope.self_name:
        if not scope.facts.reads(scope.program.lineage(scope.trace.owner)[:1], t.attr):
            return ast.Name("_", ast.Store())  # one part of a result, which nothing reads
        classes = holder_classes(scope, t.value)
        title = attribute_name(scope.program, classes, t.attr)
        return ast.Attribute(scope.expr(t.value), title, ast.Store())
    raise HoleError(f"an assignment to {ast.unparse(t)}")


def register(scope: Scope, call: ast.Call) -> list[ast.stmt]:
    """`self.register_buffer("name", value)` and its kin, as an assignment; of another module's too."""
    names = ("name", "value", "persistent")
    given: dict[Any, ast.expr] = {
        **dict(zip(names, call.args, strict=False)),
        **{k.arg: k.value for k in call.keywords},
    }
    value = next((given[k] for k in ("value", "tensor", "param", "module") if k in given), None)
    title = scope.known(given["name"])
    f = call.func
    held = form(scope, f.value) if isinstance(f, ast.Attribute) else ""
    if value is not None and isinstance(f, ast.Attribute) and held == "named":
        stored = ast.Subscript(scope.expr(f.value), scope.expr(formatted(given["name"])), ast.Store())
        return [ast.Assign([stored], scope.expr(value))]
    if value is not None and isinstance(f, ast.Attribute) and appends(scope, f.value, given["name"], held):
        return [ast.Expr(quote("xs.append(x)", xs=elements(scope, f.value), x=scope.expr(value)))]
    if value is not None and not isinstance(title, ast.Constant):
        holder = f.value if isinstance(f, ast.Attribute) else None
        if not (isinstance(holder, ast.Name) and holder.id == scope.self_name):
            raise HoleError("a buffer or module with a computed name, of another module")
        own_name = ast.Name(scope.self_name or "self", ast.Load())
        return write_computed(scope, ast.Call(call.func, [own_name, given["name"], value], []))
    if value is None or not (isinstance(title, ast.Constant) and isinstance(title.value, str)):
        raise HoleError("a buffer with a computed name")
    holder = call.func.value if isinstance(call.func, ast.Attribute) else None
    own = isinstance(holder, ast.Name) and holder.id == scope.self_name
    classes = (scope.trace.owner,) if own or holder is None else tuple(holder_classes(scope, holder))
    if not any(scope.facts.reads((cls,), title.value) for cls in classes):
        return []
    translated = scope.expr(value)
    if is_none(translated):
        return []
    if own or holder is None:
        return [set_attribute(scope, title.value, translated)]
    attr = attribute_name(scope.program, classes, title.value)
    return [ast.Assign([ast.Attribute(scope.expr(holder), attr, ast.Store())], translated)]


def appends(scope: Scope, holder: ast.expr, name: ast.expr, held: str) -> bool:
    """Whether `xs.add_module(str(i), x)` adds to a list of modules at its end: names count from 0 in every instance."""
    if held == "own":
        return True
    paths = scope.seen(holder).paths
    bases = {scope.program.torch_base(scope.program.modules[p].cls) for p in paths if p in scope.program.modules}
    if not paths or not bases or not bases <= {"ModuleList", "Sequential"}:
        return False
    counted = all(
        scope.program.modules[p].children == tuple(map(str, range(len(scope.program.modules[p].children))))
        for p in paths
        if p in scope.program.modules
    )
    return counted and isinstance(name, ast.Call) and ast.unparse(name.func) == "str"
