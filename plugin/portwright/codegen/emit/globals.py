"""Names of a function's module, and of Python: what stands for them in a port."""

from __future__ import annotations

import ast
import builtins
import sys

from portwright.codegen.emit.scope import DTYPES, Scope
from portwright.codegen.emit.values import function_value, layer_title_of, tensors
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import literal, quote
from portwright.codegen.trace import GlobalRef
from portwright.codegen.translate.mask_functions import VALUES


def dtype(name: str) -> ast.expr:
    """The MLX dtype for a torch dtype's name; MLX on Metal has no float64, and indexes with int32."""
    return quote(f"mx.{DTYPES.get(name, name)}")


def global_name(scope: Scope, node: ast.Name) -> ast.expr:
    """A name of the module or of Python."""
    ref = scope.trace.globals.get(node.id)
    if ref is None:
        if node.id in scope.trace.enclosed:
            return literal(scope.trace.enclosed[node.id])
        if hasattr(builtins, node.id):
            return ast.Name(node.id, ast.Load())
        raise HoleError(f"the name {node.id} comes from an enclosing function")
    if ref.sort == "const":
        value = tuple(ref.value) if ref.name == "tuple" else ref.value
        return literal(value)
    if ref.sort == "dtype":
        return dtype(ref.name)
    if ref.sort == "module" and is_standard(ref.name):
        alias = "" if ref.name == node.id else f" as {node.id}"
        return ask(ast.Name(node.id, ast.Load()), Demand("import", f"import {ref.name}{alias}"))
    if ref.sort == "class" and is_standard(ref.name.rpartition(".")[0]):
        module, _, title = ref.name.rpartition(".")
        if module == "builtins":
            return ast.Name(node.id, ast.Load())
        alias = "" if title == node.id else f" as {node.id}"
        return ask(ast.Name(node.id, ast.Load()), Demand("import", f"from {module} import {title}{alias}"))
    if (ref.sort == "class" and scope.program.is_module(ref.cls)) or (ref.sort == "function" and ref.fid):
        return referred(scope, node.id, ref)
    if ref.name in VALUES:
        return ask(ast.Name(VALUES[ref.name], ast.Load()), Demand("snippet", VALUES[ref.name]))
    if ref.sort in ("function", "builtin", "other", "callable") and is_standard(ref.name.rpartition(".")[0]):
        module, _, title = ref.name.rpartition(".")
        return ask(ast.Name(title, ast.Load()), Demand("import", f"from {module} import {title}"))
    if ref.sort == "classes":
        made = {k: c for k, c in ref.value.items() if c is not None and scope.program.instances.get(c)}
        names = [ask(ast.Name(scope.work.class_title(c), ast.Load()), Demand("class", c)) for c in made.values()]
        return ast.Dict([literal(k) for k in made], list(names))
    if ref.sort == "tensor":
        return tensors(ref.value)
    if ref.sort == "table":
        entered = {
            k: f
            for k, f in ref.value.items()
            if f in scope.program.functions and scope.program.functions[f].trace.entered
        }
        return ast.Dict([literal(k) for k in entered], [function_value(scope, f) for f in entered.values()])
    raise HoleError(f"the global {node.id} ({ref.name or ref.sort}) has no translation")


def referred(scope: Scope, title: str, ref: GlobalRef) -> ast.expr:
    """A class of modules or a rewritten function, as a value."""
    if ref.sort == "class" and scope.program.is_torch(ref.cls):
        found = layer_title_of(ref.name.rpartition(".")[2])
        if found is not None:
            return found
    elif ref.sort == "class" and scope.program.is_module(ref.cls):
        if len(scope.program.variants(ref.cls)) > 1:
            raise HoleError(f"the class {ref.cls.rpartition(':')[2]}, of which the port has several, as a value")
        return ask(ast.Name(scope.work.class_title(ref.cls), ast.Load()), Demand("class", ref.cls))
    elif ref.sort == "function" and ref.fid:
        return function_value(scope, ref.fid)
    raise HoleError(f"the global {title} ({ref.name or ref.sort}) has no translation")


def is_standard(module: str) -> bool:
    """Whether a module is Python's own."""
    return module.partition(".")[0] in sys.stdlib_module_names
