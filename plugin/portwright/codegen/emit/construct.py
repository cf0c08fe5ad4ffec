"""Constructor calls: layers by torch base class, rewritten classes, parameters and buffers, containers."""

from __future__ import annotations

import ast
from typing import Any

from portwright.codegen.emit.chains import item
from portwright.codegen.emit.choices import choices, chosen_keywords, key
from portwright.codegen.emit.keywords import is_held, passed_on
from portwright.codegen.emit.names import empty_variadic
from portwright.codegen.emit.padding import named_padding, padded_layer, pads_itself
from portwright.codegen.emit.scope import Scope, expanded_keywords
from portwright.codegen.emit.sequences import is_named
from portwright.codegen.emit.units import bind, from_keywords, spread_items, unit_call
from portwright.codegen.facts.record import Demand, ask, assumed_in
from portwright.codegen.holes import HoleError
from portwright.codegen.idioms.activations import layer_of
from portwright.codegen.idioms.experts import Translated
from portwright.codegen.quote import is_literal, literal, plain, quote
from portwright.codegen.source import number
from portwright.codegen.trace import Callee, ClassTrace
from portwright.codegen.translate.constructors import CONSTRUCTORS, CONVOLUTIONS, TRANSPARENT, Constructor
from portwright.codegen.translate.layers import LAYER_CALLS, layer_title
from portwright.codegen.translate.shared_layers import shared_layer

CONTAINERS = frozenset({"ModuleList", "Sequential", "ModuleDict", "ParameterList", "ParameterDict"})


def construct(scope: Scope, n: ast.Call, callees: tuple[Callee, ...]) -> ast.expr:
    """The MLX tree of `Class(...)`. Raises HoleError for a class that has no counterpart."""
    if len(callees) > 1 and all(is_own_module(scope, c) for c in callees) and not isinstance(n.func, ast.Attribute):
        made = unit_call(scope, n, callees, function=scope.expr(n.func), constructs=callees[0].cls)
        return ask(made, *[Demand("class", c.cls) for c in callees])
    if len(callees) > 1:
        raise HoleError("one constructor call, several classes: " + ", ".join(sorted(c.name for c in callees)))
    callee = callees[0]
    program = scope.program
    if "output" in scope.kinds(n):
        raise HoleError("a model output that is not returned at once")
    if not program.is_module(callee.cls):
        return construct_value(scope, n, callee)
    base = program.torch_base(callee.cls)
    if base in CONTAINERS and program.is_torch(callee.cls):
        return container(scope, n, base)
    layer = layer_of(scope.work.activations, scope.program, scope.seen(n).paths)
    if layer is not None:
        return ask(layer, *[Demand("assume", a) for a in choices(scope, n)])
    if base in TRANSPARENT and program.is_torch(callee.cls):
        return quote("nn.Identity()")
    norm = scope.work.norm_of(callee.cls)
    if norm is not None and not callee.fid and base == norm.layer:  # torch's own constructor, inherited
        return ast.Call(quote(f"nn.{norm.layer}"), *torch_arguments(scope, n, base))
    if norm is not None:
        return norm_layer(scope, n, callee, norm)
    carried = shared_layer(scope, n, callee.cls)
    if carried is not None:
        return carried
    if base in CONSTRUCTORS and not callee.fid:
        base, taken = row_of(scope, n, base)
        arguments, keywords = torch_arguments(scope, n, base, wraps=program.is_torch(callee.cls))
        if program.is_torch(callee.cls):
            made = ask(
                ast.Call(quote(CONSTRUCTORS[base].layer), arguments, keywords), *chosen_keywords(scope, n), *taken
            )
            made = padded_layer(scope, n, base, made)
            snippet = CONSTRUCTORS[base].snippet
            return ask(made, Demand("snippet", snippet)) if snippet else made
        own = ast.Name(scope.work.class_title(callee.cls), ast.Load())
        return ask(ast.Call(own, arguments, keywords), Demand("class", callee.cls))
    if layer_title(program, callee.cls) in LAYER_CALLS and (function := item(scope, n)) is not None:
        return function
    title = ask(ast.Name(scope.work.class_title(callee.cls), ast.Load()), Demand("class", callee.cls))
    if callee.fid:
        return unit_call(scope, n, callees, function=title, constructs=callee.cls)
    if base == "Module" and not n.args and not n.keywords:
        return quote("nn.Module()") if program.is_torch(callee.cls) else ast.Call(title, [], [])
    raise HoleError(f"no constructor row for {callee.name}")


def with_bound(scope: Scope, n: ast.Call, callee: Callee) -> tuple[ast.Call, list[Demand]]:
    """A call through a `functools.partial`, with the keywords that it adds written out, and what that relies on."""
    relied: list[Demand] = []
    if callee.bound_at:
        fid, _, place = callee.bound_at.rpartition("#")
        made = next(x for x in scope.program.functions[fid].nodes if number(x) == int(place))
        assert isinstance(made, ast.Call)
        inner = scope.work.scope(fid)
        values = [k.value for k in made.keywords if k.arg in dict(callee.bound)]
        if len(values) != len(callee.bound):
            raise HoleError("a partial of keywords that arrive by **")
        relied = [Demand("assume", a) for value in values for a in key(inner, made, value)]
        called = [
            k.value for k in made.keywords if k.arg not in dict(callee.bound) and "callable" in inner.kinds(k.value)
        ]
        relied += [Demand("assume", a) for value in called for a in choices(inner, value, 1)]
    given = {k.arg for k in n.keywords}
    added = [ast.keyword(name, literal(value)) for name, value in callee.bound if name not in given]
    out = ast.copy_location(ast.Call(n.func, n.args, [*n.keywords, *added]), n)
    out.number = number(n)  # type: ignore[attr-defined]
    return out, relied


VARIANTS = {  # layers whose row depends on an argument's value: torch's base, the argument, the value, the row
    ("RMSNorm", "elementwise_affine", False): "RMSNorm without weight",
    ("AvgPool2d", "ceil_mode", True): "AvgPool2d over the edge",
    ("MaxPool2d", "ceil_mode", True): "MaxPool2d over the edge",
    ("AvgPool2d", "count_include_pad", False): "AvgPool2d of what is inside",
}


def row_of(scope: Scope, n: ast.Call, base: str) -> tuple[str, list[Demand]]:
    """The constructor row of a torch layer, and what choosing it takes for granted."""
    given = dict(zip(CONSTRUCTORS[base].parameters.split(), opened(scope, n), strict=False))
    given |= {k.arg: k.value for k in expanded_keywords(scope, n) if k.arg}
    for (layer, name, value), row in VARIANTS.items():
        if base == layer and name in given and plain(scope.known(given[name])) is value:
            return row, [Demand("assume", a) for a in key(scope, n, given[name])]
    if base == "ConvTranspose1d" and "groups" in given and plain(scope.known(given["groups"])) != 1:
        return "ConvTranspose1d in groups", []
    if base == "Upsample":
        chosen = [given[k] for k in ("mode", "scale_factor") if k in given]
        return base, [Demand("assume", a) for k in chosen for a in key(scope, n, k)]
    return base, []


def is_own_module(scope: Scope, callee: Callee) -> bool:
    """Whether a class is a module that is rewritten, constructor included."""
    program = scope.program
    own = program.is_module(callee.cls) and not program.is_torch(callee.cls)
    return own and bool(callee.fid) and scope.work.norm_of(callee.cls) is None


def construct_value(scope: Scope, n: ast.Call, callee: Callee) -> ast.expr:
    """A class that is no module: a parameter, a buffer, Python's own types, a processor object."""
    from portwright.codegen.emit.calls import plain_call
    from portwright.codegen.emit.globals import is_standard
    from portwright.codegen.translate.apply import apply_row
    from portwright.codegen.translate.registry import ROWS

    if callee.name in ("Parameter", "Buffer", "UninitializedParameter") and callee.torch:
        return parameter(scope, n)
    if callee.torch and callee.name in ROWS:
        return apply_row(scope, n, callee)
    if callee.name in ("Tensor", "FloatTensor") and callee.torch and [scope.kinds(a) for a in n.args] == [{"list"}]:
        return quote("mx.array(x)", x=scope.expr(n.args[0]))
    if callee.name == "Size" and callee.torch:
        return ast.Call(ast.Name("tuple", ast.Load()), [scope.expr(a) for a in n.args], [])
    if is_standard(callee.module):
        return plain_call(scope, n)
    called = scope.program.method(callee.cls, "__call__")
    if called and scope.work.is_processor(callee.cls):  # a processor: calls of it are calls of its function
        return scope.work.function_name(scope, called)
    if callee.fid:
        title = ask(ast.Name(scope.work.class_title(callee.cls), ast.Load()), Demand("class", callee.cls))
        return unit_call(scope, n, (callee,), function=title, constructs=callee.cls)
    if (found := scope.program.cls(callee.cls)) is not None and found.fields:
        return record(scope, n, found)
    raise HoleError(f"no constructor row for {callee.name}")


def record(scope: Scope, n: ast.Call, cls: ClassTrace) -> ast.expr:
    """A dataclass or named tuple that only holds values: a named tuple in the port, with every field given."""
    given = dict(zip(cls.fields, n.args, strict=False)) | {k.arg: k.value for k in expanded_keywords(scope, n) if k.arg}
    if set(given) != set(cls.fields) or any(isinstance(a, ast.Starred) for a in n.args):
        raise HoleError(f"{cls.name} without all of its fields")
    made = ast.Call(ast.Name(cls.name, ast.Load()), [scope.expr(given[f]) for f in cls.fields], [])
    return ask(made, Demand("record", cls.name, cls.fields), Demand("import", "from collections import namedtuple"))


def parameter(scope: Scope, n: ast.Call) -> ast.expr:
    """The value that a parameter or buffer starts from; random ones start from zeros, since weights are loaded."""
    given = n.args[0] if n.args else next((k.value for k in n.keywords if k.arg == "data"), None)
    if given is None:
        raise HoleError("a parameter without a value")
    scope.random_is_zero += 1
    try:
        return scope.expr(given)
    finally:
        scope.random_is_zero -= 1


def container(scope: Scope, n: ast.Call, base: str) -> ast.expr:
    """Lists of modules or parameters and Sequential are lists in MLX, what has names is a dict."""
    if base in ("ModuleDict", "ParameterDict"):
        return scope.expr(n.args[0]) if n.args else ast.Dict([], [])
    if base in ("ModuleList", "ParameterList"):
        if not n.args:
            return ast.List([], ast.Load())
        made = as_list(scope.expr(n.args[0]))
        is_tuple = "tuple" in scope.kinds(n.args[0]) and not isinstance(made, ast.List)
        return quote("list(x)", x=made) if is_tuple else made
    held = [scope.program.modules[p] for p in scope.seen(n).paths if p in scope.program.modules]
    named = any(is_named(scope.program, m) for m in held)
    if named and not all(is_named(scope.program, m) for m in held):
        raise HoleError("Sequentials with and without names of their layers share a constructor")
    if named:
        return named_layers(scope, n.args[0]) if n.args else ast.Dict([], [])
    if len(n.args) == 1 and "module" not in scope.kinds(n.args[0]):
        inner = n.args[0].value if isinstance(n.args[0], ast.Starred) else n.args[0]
        return as_list(scope.expr(inner))
    return ast.List([scope.expr(a) for a in n.args], ast.Load())


def named_layers(scope: Scope, node: ast.expr) -> ast.expr:
    """`OrderedDict([("a", x), ("b", y)])` as a dict of layers, and so any other mapping."""
    made = node.args[0] if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords else node
    pairs = made.elts if isinstance(made, (ast.List, ast.Tuple)) else []
    if pairs and all(isinstance(x, ast.Tuple) and len(x.elts) == 2 for x in pairs):
        both = [x.elts for x in pairs if isinstance(x, ast.Tuple)]
        return ast.Dict([scope.expr(k) for k, _ in both], [scope.expr(v) for _, v in both])
    if scope.kinds(node) != {"dict"}:
        raise HoleError("a Sequential whose names of layers come from no mapping")
    return quote("dict(x)", x=scope.expr(node))


def as_list(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.GeneratorExp):
        return ast.ListComp(node.elt, node.generators)
    return ast.List(node.elts, ast.Load()) if isinstance(node, ast.Tuple) else node


def opened(scope: Scope, n: ast.Call) -> list[ast.expr]:
    """The positional arguments of a call, `*xs` as its items; none where nothing ever arrived by it."""
    out: list[ast.expr] = []
    for a in n.args:
        if not isinstance(a, ast.Starred):
            out.append(a)
        elif not (isinstance(a.value, ast.Name) and empty_variadic(scope, a.value) is not None):
            out += a.value.elts if isinstance(a.value, (ast.Tuple, ast.List)) else spread_items(scope, a)
    return out


def torch_arguments(
    scope: Scope, n: ast.Call, base: str, wraps: bool = False
) -> tuple[list[ast.expr], list[ast.keyword]]:
    """The arguments of a torch layer's constructor, as the MLX layer takes them.

    `wraps`: whoever asks puts around the layer what pads its input, so the padding is left out here.
    """
    table = CONSTRUCTORS[base]
    given: dict[str, ast.expr] = dict(zip(table.parameters.split(), opened(scope, n), strict=False))
    for k in expanded_keywords(scope, n):
        if k.arg is None:
            if not scope.seen(n).starred and is_held(scope, k.value):
                raise HoleError(f"what **{ast.unparse(k.value)} gives a layer, which was nothing in each run")
            for name in sorted(scope.seen(n).starred):
                value = passed_on(scope, name, from_keywords(scope, [k.value], name), table.defaults)
                given[name] = Translated(ast.Name(name, ast.Load()), value)
            continue
        given[k.arg] = k.value
    if base == "Upsample":
        given |= {k: scope.known(given[k]) or given[k] for k in ("mode", "scale_factor") if k in given}
    own_padding = wraps and base in CONVOLUTIONS and pads_itself(scope, given)
    honoured = {"padding_mode"} if own_padding else set()
    taken = check_refused(scope, n, base, table, {k: v for k, v in given.items() if k not in honoured})
    positional = table.positional.split()
    arguments = [size(axis_width(scope, base, given[p]), base) for p in positional if p in given]
    keywords = []
    for name, mlx in table.keywords.items():
        if name not in given or (name == "padding" and own_padding):
            continue
        value = scope.expr(given[name]) if name != "activation" else activation_function(scope, given[name])
        if name == "activation":
            taken += [Demand("assume", a) for a in (*key(scope, n, given[name]), *choices(scope, given[name]))]
        taken += assumed_in(value) if is_literal(value) else ()
        if is_literal(value) and name in table.defaults and plain(value) == table.defaults[name]:
            continue
        if isinstance(value, ast.Constant) and value.value is None:
            continue
        if name == "padding" and scope.kinds(given[name]) & {"str"}:
            named = named_padding(scope, given)
            same = plain(scope.known(given["padding"])) == "same"
            taken += assumed(scope, n, given, "padding", *(("kernel_size", "dilation") if same else ()))
            if named is not None:
                keywords.append(ast.keyword(mlx, named))
            continue
        keywords.append(ast.keyword(mlx, value))
    if base == "LayerNorm":
        keywords = layer_norm_keywords(keywords)
    if base == "Upsample":
        keywords = upsample_keywords(keywords)
    keywords += [ast.keyword(k, literal(v)) for k, v in table.fixed.items()]
    if base.startswith("RMSNorm") and not any(k.arg == "eps" for k in keywords):
        keywords.append(ast.keyword("eps", quote("mx.finfo(mx.float32).eps")))
    if arguments:
        ask(arguments[0], *taken)
    return arguments, keywords


def activation_function(scope: Scope, node: ast.expr) -> ast.expr:
    """The name of the activation of torch's transformer layers, which take torch's function too."""
    callees = [c.name for c in scope.seen(node).callees if c.torch]
    title = plain(scope.known(node)) or (callees[0] if len(callees) == 1 else "")
    module = (
        scope.global_(node.value.id) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else None
    )
    if not title and module is not None and module.name.startswith("torch") and isinstance(node, ast.Attribute):
        title = node.attr
    if title not in ("relu", "gelu"):
        raise HoleError(f"a transformer layer with the activation {ast.unparse(node)}")
    return literal(title)


def upsample_keywords(keywords: list[ast.keyword]) -> list[ast.keyword]:
    """By whole factors, torch's "nearest-exact" is "nearest"; MLX rounds as torch does only for these."""
    given = {k.arg: plain(k.value) for k in keywords}
    factors = given.get("scale_factor")
    whole = all(float(f).is_integer() for f in (factors if isinstance(factors, (tuple, list)) else (factors or 0.5,)))
    if not str(given.get("mode", "nearest")).startswith("nearest"):
        raise HoleError(f"Upsample with mode={given['mode']!r}")
    if not whole:
        raise HoleError("Upsample by a factor that is not whole")
    return [k for k in keywords if k.arg != "mode"]


def layer_norm_keywords(keywords: list[ast.keyword]) -> list[ast.keyword]:
    """Without affine weights there is no bias either, as MLX's layer sees to itself where a variable says so."""
    plain_affine = any(k.arg == "affine" and is_literal(k.value) for k in keywords)
    return [k for k in keywords if not (plain_affine and k.arg == "bias")]


def axis_width(scope: Scope, base: str, node: ast.expr) -> ast.expr:
    """An argument of a layer's constructor; of the sizes that a norm is given in a variable, the only one."""
    made, seen = scope.expr(node), scope.seen(node)
    if not base.startswith(("LayerNorm", "RMSNorm")) or isinstance(made, (ast.Tuple, ast.List)):
        return made
    if not seen.kinds & {"tuple", "list", "size"}:
        return made
    if seen.lens != {1} and not computes_itself(scope, base):
        raise HoleError(f"{base} over several axes")
    return quote("x[-1]", x=made)


def computes_itself(scope: Scope, base: str) -> bool:
    """Whether this is the constructor of a class that has torch's layer's weights, and a forward of its own."""
    own = scope.trace.name == "__init__" and scope.program.torch_base(scope.trace.owner) == base
    return own and bool(scope.program.method(scope.trace.owner, "forward"))


def size(node: ast.expr, base: str) -> ast.expr:
    """`LayerNorm((n,))` is `LayerNorm(n)`."""
    if base.startswith(("LayerNorm", "RMSNorm")) and isinstance(node, (ast.Tuple, ast.List)):
        if len(node.elts) != 1:
            raise HoleError(f"{base} over several axes")
        return node.elts[0]
    return node


def check_refused(scope: Scope, n: ast.Call, base: str, table: Constructor, given: dict[str, ast.expr]) -> list[Demand]:
    """Arguments that the MLX layer cannot honour must have the value that changes nothing, in every config."""
    for name, allowed in table.refused.items():
        if name in given:
            value: Any = plain(scope.known(given[name]))
            if value != allowed:
                raise HoleError(f"{base} with {name}={value!r}")
    return assumed(scope, n, given, *table.refused)


def assumed(scope: Scope, n: ast.Call, given: dict[str, ast.expr], *names: str) -> list[Demand]:
    """That arguments, of which the port uses what they were, are what they were."""
    return [Demand("assume", a) for name in names if name in given for a in key(scope, n, given[name])]


def norm_layer(scope: Scope, n: ast.Call, callee: Callee, norm: Any) -> ast.expr:
    """A proved norm in the place of a rewritten class: its width and its eps are found among the arguments."""
    if not callee.fid:
        raise HoleError(f"the constructor that {callee.name} inherits")
    function = scope.program.functions[callee.fid]
    given = bind(scope, n, function, skip_self=True)
    width: ast.expr | None = None
    eps: ast.expr | None = None
    if function.tree.args.vararg and given.star and scope.program.torch_base(callee.cls) in CONSTRUCTORS:
        held = given.star[0]  # handed on to torch's own layer, which takes its width first
        width = scope.expr(held) if set(scope.seen(held).consts) <= norm.widths else None
        eps = scope.expr(given.named["eps"]) if "eps" in given.named else None
    others: list[str] = []
    for q in function.parameters[1:]:
        seen = function.trace.params.get(q)
        values = set(seen.consts) if seen is not None else set()
        if q in given.named and width is None and values and values <= norm.widths:
            width = scope.expr(given.named[q])
        elif any(isinstance(v, float) for v in values) and values <= norm.epsilons:
            eps = scope.expr(given.named[q]) if q in given.named else literal(function.trace.defaults.get(q))
        else:
            others.append(q)
    if width is None:
        raise HoleError(f"the width of {callee.name}")
    if eps is None:
        if len(norm.epsilons) != 1:
            raise HoleError(f"the eps of {callee.name}")
        eps = literal(next(iter(norm.epsilons)))
    bias = [] if norm.biased else [ast.keyword("bias", ast.Constant(False))]
    made = ast.Call(quote(f"nn.{norm.layer}"), [width], [ast.keyword("eps", eps), *bias])
    return ask(made, *assumed(scope, n, given.named, *others))
