"""Calls: of rewritten functions, of torch's functions (by row), of modules, classes and Python's own functions."""

from __future__ import annotations

import ast
import dataclasses
from typing import cast

from portwright.codegen.emit.children import children_call
from portwright.codegen.emit.choices import choices, key
from portwright.codegen.emit.computed import read_computed
from portwright.codegen.emit.configs import config_demands, config_keys, field_of, holds, without_field
from portwright.codegen.emit.construct import construct, is_own_module, with_bound
from portwright.codegen.emit.globals import dtype, is_standard
from portwright.codegen.emit.keywords import keyword_item
from portwright.codegen.emit.modules import activation_value, leaf_module
from portwright.codegen.emit.paths import submodule
from portwright.codegen.emit.properties import properties_of
from portwright.codegen.emit.scope import Scope, expression
from portwright.codegen.emit.sequences import elements
from portwright.codegen.emit.supers import base_forward, is_base_forward, is_super_call, super_call
from portwright.codegen.emit.text_configs import text_config
from portwright.codegen.emit.units import holds_function, unit_call
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.idioms.activations import function_of
from portwright.codegen.layout import to_first
from portwright.codegen.quote import literal, quote
from portwright.codegen.runtime.caches import cache_call, is_cache_call
from portwright.codegen.trace import Callee, Plain
from portwright.codegen.translate.apply import apply_row, is_library_row
from portwright.codegen.translate.constructors import CONSTRUCTORS, TRANSPARENT

UNMOVED = frozenset({"to", "float", "cpu", "eval", "train", "requires_grad_", "type"})
PYTHON_TYPES = frozenset(
    {"list", "dict", "str", "tuple", "set", "int", "float", "range", "dict_keys", "dict_items", "type"}
)

WALKS = frozenset({"zip", "enumerate", "list", "tuple", "reversed", "iter"})  # a tensor's slices, one after another
DICT_VIEWS = frozenset({"keys", "values", "items"})  # of a ModuleDict, which is a dict in the port

FACTORY = ("get_activation", "diffusers.models.activations")  # activations by name, as a port can look them up too


@expression(ast.Call)
def call(scope: Scope, node: ast.expr) -> ast.expr:
    """A call as a value: everything that it returns may be used."""
    n = cast(ast.Call, node)
    out = emit_call(scope, n)
    fids = getattr(out, "result_of", ())
    return ask(out, *[Demand("used", f, -1) for f in fids])


def emit_call(scope: Scope, n: ast.Call) -> ast.expr:
    """The call itself; the caller says which elements of the result it uses."""
    if is_super_call(n):
        return super_call(scope, n)
    seen = scope.seen(n)
    if seen.n == 0:
        raise HoleError("a call that never ran")
    if seen.kinds == {"dtype"} and len(seen.dtypes) == 1:
        named = [a for x in n.args if scope.kinds(x) & {"str"} for a in key(scope, n, x)]
        return ask(dtype(next(iter(seen.dtypes))), *[Demand("assume", a) for a in named])
    callees = seen.callees
    if any(c.bound or c.bound_at for c in callees):
        if len(callees) > 1:
            raise HoleError("one call, several partials: " + ", ".join(sorted(c.name for c in callees)))
        n, relied = with_bound(scope, n, callees[0])
        return ask(call_of(scope, n, (dataclasses.replace(callees[0], bound=(), bound_at=""),)), *relied)
    return call_of(scope, n, callees)


def call_of(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> ast.expr:
    """A call of what it was seen to reach."""
    sorts = {c.sort for c in callees}
    if sorts == {"module"}:
        return module_call(scope, n, callees)
    if sorts == {"class"}:
        if len(callees) > 1:
            return construct(scope, n, callees)
        try:
            chosen = [Demand("assume", a) for a in choices(scope, n.func)]
        except HoleError:
            if not holds_class(scope, n, callees):
                raise
            named = Demand("class", callees[0].cls)  # run time chooses, by the test that the port keeps
            return ask(unit_call(scope, n, callees, scope.expr(n.func), callees[0].cls), named)
        return ask(construct(scope, n, callees), *chosen)
    if len({c.fid for c in callees}) > 1 and holds_function(scope, n):
        return unit_call(scope, n, callees)  # run time chooses
    if sorts == {"object"} and all(c.fid and scope.work.is_in_class(c.fid) for c in callees):
        return unit_call(scope, n, callees)  # the object itself is called, whichever it is
    chosen = [Demand("assume", a) for a in choices(scope, n.func)]  # the callee is written out, whatever chose it
    if all(c.fid for c in callees):
        return ask(unit_call(scope, n, callees), *chosen)
    if len(callees) > 1 and len({(c.name, c.torch) for c in callees}) > 1:
        raise HoleError("one call, several callees: " + ", ".join(sorted(c.name for c in callees)))
    return ask(single_call(scope, n, callees[0]), *chosen)


def holds_class(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> bool:
    """Whether a call goes through a local name that holds a rewritten class."""
    return holds_function(scope, n) and all(is_own_module(scope, c) for c in callees)


def single_call(scope: Scope, n: ast.Call, callee: Callee) -> ast.expr:
    """A call of one leaf."""
    by_name = (callee.name, callee.module) == FACTORY and not isinstance(n.args[0], ast.Constant)
    activation = activation_value(scope, n) if not by_name else None
    if activation is not None:
        return activation
    if is_cache_call(scope, n, callee):
        return cache_call(scope, n, callee)
    if callee.name in UNMOVED and isinstance(n.func, ast.Attribute) and scope.kinds(n.func.value) == {"module"}:
        return scope.expr(n.func.value)  # a module on another device or in another dtype is the module
    walks = callee.name == "modules" or (callee.name == "named_modules" and is_unnamed(scope, n))
    if callee.torch and walks and isinstance(n.func, ast.Attribute) and not n.args:
        return ast.Call(ast.Attribute(scope.expr(n.func.value), callee.name, ast.Load()), [], [])
    if callee.torch and callee.name in DICT_VIEWS and callee.module.endswith("container") and not n.args:
        return dict_view(scope, cast(ast.Attribute, n.func).value, callee.name)
    if callee.torch and callee.name == "forward" and is_base_forward(scope, n):
        return base_forward(scope, n)
    if (walk := children_call(scope, n, callee)) is not None:
        return walk
    if callee.torch or is_library_row(callee):
        return apply_row(scope, n, callee)
    if callee.name in ("isinstance", "issubclass", "hasattr", "callable") and callee.module == "builtins":
        seen = scope.seen(n)
        held = bool(scope.kinds(n.args[0]) & {"tensor", "module", "callable", "config", "output"})
        if seen.const and (held or callee.name != "isinstance"):
            chosen = choices(scope, n.args[0]) if callee.name == "issubclass" else []
            return ask(literal(seen.consts[0]), *[Demand("assume", a) for a in chosen])
    if callee.name == "get_text_config" and isinstance(n.func, ast.Attribute) and not (n.args or n.keywords):
        return text_config(scope, n.func.value)[0]
    if (
        callee.name == "isinstance"
        and scope.program.trace.config_style == "kwargs"
        and ast.unparse(n.args[1]) == "tuple"
    ):
        return quote("isinstance(x, (tuple, list))", x=scope.expr(n.args[0]))  # a saved config holds tuples as lists
    if callee.name == "len" and callee.module == "builtins":
        held_values = elements(scope, n.args[0], indexed=True)
        if isinstance(held_values, (ast.Tuple, ast.Dict)) and ast.unparse(held_values) in ("()", "{}"):
            return ast.Constant(0)
    if callee.name == "getattr" and callee.module == "builtins":
        return getattr_call(scope, n)
    if callee.name == "<lambda>" and not n.args and not n.keywords and roots(n.func) <= scope.locals:
        return ast.Call(scope.expr(n.func), [], [])  # written in this function, and translated there
    module = callee.module or "builtins"
    if callee.sort == "function" and isinstance(n.func, ast.Name) and n.func.id in local_functions(scope):
        return plain_call(scope, n)
    if callee.sort == "function" and isinstance(n.func, ast.Call) and is_made(scope, n.func, callee.name):
        return ast.Call(scope.expr(n.func), [scope.expr(a) for a in n.args], [])
    if is_standard(module) or module in PYTHON_TYPES:
        return plain_call(scope, n)
    if (callee.module, callee.name) == ("Size", "numel") and isinstance(n.func, ast.Attribute):
        return ask(quote("math.prod(shape)", shape=scope.expr(n.func.value)), Demand("import", "import math"))
    if scope.seen(n).kinds == {"module"} and not n.args and not n.keywords:
        found = submodule(scope, n)
        if found is not None:
            return found
    raise HoleError(f"no row for {callee.module}.{callee.name}")


def is_made(scope: Scope, made: ast.Call, title: str) -> bool:
    """Whether a call gives a function that the called one defines, and that the port has inside it."""
    functions = [scope.program.functions[c.fid] for c in scope.seen(made).callees if c.fid]
    inner = [n.name for f in functions for n in f.nodes if isinstance(n, ast.FunctionDef)]
    return bool(functions) and title in inner


def dict_view(scope: Scope, holder: ast.expr, view: str) -> ast.expr:
    """Names, submodules or both of torch's ModuleDict, a plain dict here, or of a module of a class of its kind."""
    classes = scope.seen(holder).types
    own = [cls for cls in classes if not scope.program.is_torch(cls)]
    if own and (len(own) != len(classes) or any(scope.program.torch_base(cls) != "ModuleDict" for cls in own)):
        raise HoleError(f"the {view} of modules of several kinds")
    text = f"x.children().{view}()" if own else f"x.{view}()"
    return ask(quote(text, x=scope.expr(holder)), *[Demand("live", cls, "{}") for cls in own])


def is_unnamed(scope: Scope, n: ast.Call) -> bool:
    """Whether a loop over named modules leaves their names unread: those of the port may be others."""
    loop = scope.function.parents.get(n)
    target = loop.target if isinstance(loop, ast.For) else None
    if not (isinstance(target, ast.Tuple) and isinstance(name := target.elts[0], ast.Name)):
        return False
    return not any(isinstance(x, ast.Name) and x.id == name.id and x is not name for x in ast.walk(scope.tree))


def local_functions(scope: Scope) -> set[str]:
    """Functions defined inside this one: they are translated in place."""
    return {s.name for s in ast.walk(scope.tree) if isinstance(s, ast.FunctionDef)} - {scope.tree.name}


def roots(node: ast.expr) -> set[str]:
    """The name that a chain of items starts from."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else {""}


def getattr_call(scope: Scope, n: ast.Call) -> ast.expr:
    """`getattr(x, "name", default)` of a name that is known: a plain attribute where it was always there."""
    title = n.args[1] if isinstance(n.args[1], ast.Constant) else scope.expr(n.args[1])  # a parameter may be folded
    if isinstance(title, ast.Name) and (said := scope.seen(n.args[1])).const and scope.kinds(n.args[0]) == {"config"}:
        return named_field(scope, n, title, said.consts[0])
    if not isinstance(title, ast.Constant) or not isinstance(title.value, str):
        return read_computed(scope, n)
    if scope.kinds(n.args[0]) == {"config"}:
        field = field_of(scope, n.args[0], title.value)
        config = scope.expr(n.args[0])
        if holds(scope, n.args[0], field):
            return ask(ast.Attribute(config, field, ast.Load()), *config_demands(scope, n.args[0], field))
        default = n.args[2] if len(n.args) > 2 else None
        computed = any(field in properties_of(scope.program.trace, k) for k in config_keys(scope, n.args[0]))
        same = not isinstance(default, ast.Constant) or scope.kinds(default) == scope.kinds(n)
        if default is not None and not computed and same:
            return ask(scope.expr(default), *without_field(scope, n, field, default))
    return scope.expr(ast.copy_location(attribute_like(n, title.value), n))


def named_field(scope: Scope, n: ast.Call, title: ast.Name, name: Plain) -> ast.expr:
    """`getattr(config, name)` where the name was always the same: another one is refused at run time."""
    if not isinstance(name, str):
        raise HoleError("getattr with a computed name")
    named = ast.copy_location(ast.Call(n.func, [n.args[0], ast.Constant(name), *n.args[2:]], []), n)
    named.number = n.number  # type: ignore[attr-defined]
    read = getattr_call(scope, named)
    text = ast.Constant(f"the config field that {title.id} names is no {name}")
    made = quote("x if t == name else not_ported(said)", x=read, t=title, name=ast.Constant(name), said=text)
    return ask(made, Demand("snippet", "not_ported"))


def attribute_like(n: ast.Call, title: str) -> ast.Attribute:
    out = ast.Attribute(n.args[0], title, ast.Load())
    out.number = n.number  # type: ignore[attr-defined]
    return out


def module_call(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> ast.expr:
    """A call of a submodule: of a rewritten class, or of a layer."""
    own = [c for c in callees if c.fid and not scope.work.is_replaced(c.cls)]
    if len(own) == len(callees):
        return unit_call(scope, n, callees)
    if not own:
        return leaf_module(scope, by_place(n), callees)
    # Layers and rewritten modules in one list: fine where all take one argument and give one value.
    if len(n.args) != 1 or n.keywords:
        raise HoleError("layers and rewritten modules are called with several arguments")
    for c in own:
        scope.work.translate(c.fid)
        others = scope.work.kept(c.fid)[1:]
        defaults = scope.program.functions[c.fid].trace.defaults
        if not all(q in defaults for q in others) or c.fid in scope.results:
            raise HoleError(f"{c.name} is called like a plain layer, but takes or gives several values")
    check_layouts(scope, n, [c for c in callees if c not in own])
    out = ast.Call(scope.expr(n.func), [scope.expr(n.args[0])], [])
    return ask(out, *[Demand("call", c.fid) for c in own])


def by_place(n: ast.Call) -> ast.Call:
    """`layer(input=x)` as `layer(x)`."""
    if n.args or [k.arg for k in n.keywords] != ["input"]:
        return n
    out = ast.copy_location(ast.Call(n.func, [n.keywords[0].value], []), n)
    out.number = getattr(n, "number", -1)  # type: ignore[attr-defined]
    return out


def check_layouts(scope: Scope, n: ast.Call, layers: list[Callee]) -> None:
    """Layers that share a call with rewritten modules get the value as it is: each must want it that way."""
    x = n.args[0]
    if (last := scope.is_last(x)) != scope.is_last(n):
        raise HoleError("layers and rewritten modules share a call that changes the layout")
    paths = scope.seen(n.func).paths
    for c in layers:
        base = scope.program.torch_base(c.cls)
        own = [p for p in paths if p in scope.program.modules and scope.program.modules[p].cls == c.cls]
        if base in TRANSPARENT or (own and function_of(scope.work.activations, scope.program, own) is not None):
            continue
        if scope.work.norm_of(c.cls) is None and (base not in CONSTRUCTORS or not scope.program.is_torch(c.cls)):
            raise HoleError(f"no row for the layer {c.name}, which shares a call with rewritten modules")
        wants_last = scope.work.norm_of(c.cls) is None and CONSTRUCTORS[base].channels_last
        if wants_last != last and (scope.rank(x) or 3) > 2:
            raise HoleError(f"{c.name} and a rewritten module share a call, and want other layouts")


def plain_call(scope: Scope, n: ast.Call) -> ast.expr:
    """Python's own function or method, with translated arguments."""
    f = n.func
    item = keyword_item(scope, n)
    if item is not None:
        return item
    if isinstance(f, ast.Attribute) and not scope.global_(getattr(f.value, "id", "")):
        function: ast.expr = ast.Attribute(scope.expr(f.value), f.attr, ast.Load())
    else:
        function = scope.expr(f)
    last = [a for a in (*n.args, *[k.value for k in n.keywords]) if "tensor" in scope.kinds(a) and scope.is_last(a)]
    called_name = f.id if isinstance(f, ast.Name) else ""
    own = called_name in local_functions(scope)  # written out in place, where all is held as it was seen there
    if last and called_name not in WALKS and not own:
        raise HoleError("a channels-last value is handed to a Python function")
    copies = called_name in ("list", "tuple") and all(scope.kinds(a) <= {"list", "tuple"} for a in n.args)
    if any("cl" in t for t in scope.seen(n).element_tags) and not own and not copies:
        raise HoleError("a Python function takes a tensor to parts that are held channels-last")
    moved = [] if own else last
    given = [to_first(scope.expr(a), scope.rank(a) or 0) if a in moved else elements(scope, a) for a in n.args]
    return ast.Call(function, given, [ast.keyword(k.arg, scope.expr(k.value)) for k in n.keywords])
