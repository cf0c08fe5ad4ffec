"""Sequentials: lists of layers in the port, those without weights as functions in the layout that reaches them."""

from __future__ import annotations

import ast
import dataclasses

from portwright.codegen.emit.choices import looked_up
from portwright.codegen.emit.scope import Scope, expression
from portwright.codegen.emit.sequences import form, is_named, is_own
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_first, to_last
from portwright.codegen.quote import loads, plain, quote
from portwright.codegen.trace import ModuleTrace, Seen
from portwright.codegen.translate.constructors import CONSTRUCTORS, TRANSPARENT
from portwright.codegen.translate.layers import FUNCTIONS, LAYER_CALLS, NAMED_LENGTHS, layer_title

Passed = tuple[Seen, Seen]  # what a layer was given, and what it gave
ARGUMENT = "x"


class Given(ast.Name):
    """The argument of a layer that stands in a Sequential; no expression of the source does."""


@expression(Given)
def given_name(scope: Scope, node: ast.expr) -> ast.expr:
    return ast.Name(ARGUMENT, ast.Load())


def sequential(scope: Scope, n: ast.Call, other: bool = False) -> ast.expr:
    """A Sequential is a list in MLX, applied in order. `other`: some instances have an Identity in its place."""
    demands: list[Demand] = []
    program = scope.program
    whole, part = part_of(n.func)
    paths = [p for p in scope.seen(whole).paths if is_list(scope, scope.program.modules[p])]
    layouts = {chain_layouts(scope, path, demands, part) for path in paths}
    layouts = {both for both in layouts if both[0] is not None}
    if len(layouts) > 1:
        raise HoleError("Sequentials of layers of both layouts share a call")
    source = n.args[0]
    x, rank, out_rank = scope.expr(source), scope.rank(source), scope.rank(n)
    last, out_last = scope.is_last(source), scope.is_last(n)
    entered, state = layouts.pop() if layouts else (last, last)
    if (entered != last or state != out_last) and (rank is None or out_rank is None):
        raise HoleError("a Sequential whose input has no fixed rank")
    if entered != last:
        x = to_last(x, rank or 0) if entered else to_first(x, rank or 0)
    held = form(scope, whole)
    if held and (other or whole is not n.func):
        raise HoleError("a Sequential with names or of an own class, or an Identity or a part in its place")
    inner = [layer for p in paths for layer in layers_of(scope, p)[part]]
    nests = any(is_list(scope, layer) and not is_own(program, layer.cls) for layer in inner)
    if nests and any(is_named(program, layer) for layer in inner):
        raise HoleError("a Sequential with names in another")
    name = "nested_sequential" if nests else "sequential"
    text = f"{name}(f, x) if isinstance(f, list) else x" if other else f"{name}(f, x)"
    text = {"named": f"{name}(f.values(), x)", "own": "f(x)"}.get(held, text)
    if other and (entered, state) != (last, last):
        raise HoleError("a Sequential that changes the layout, or an Identity that does not")
    out = ask(quote(text, f=scope.expr(n.func), x=x), *demands)
    if held != "own":
        ask(out, Demand("snippet", name))
    if state == out_last:
        return out
    return to_last(out, out_rank or 0) if out_last else to_first(out, out_rank or 0)


def part_of(f: ast.expr) -> tuple[ast.expr, slice]:
    """`layers[a:b]` as the Sequential that it is a part of, and which part; any other expression as the whole."""
    if not (isinstance(f, ast.Subscript) and isinstance(f.slice, ast.Slice)):
        return f, slice(None)
    bounds = [plain(x) if x is not None else None for x in (f.slice.lower, f.slice.upper, f.slice.step)]
    given = (f.slice.lower, f.slice.upper, f.slice.step)
    if any(x is not None and not isinstance(b, int) for x, b in zip(given, bounds, strict=True)):
        raise HoleError("a part of a Sequential by bounds that are not literal")
    return f.value, slice(*bounds)


def chain_layouts(
    scope: Scope, path: str, demands: list[Demand], part: slice = slice(None)
) -> tuple[bool | None, bool | None]:
    """Whether a Sequential, or a part, takes, and whether it gives, channels-last values; None where it takes both.

    Raises HoleError for layers that cannot follow each other as they are.
    """
    entered: bool | None = None
    state: bool | None = None
    for layer in layers_of(scope, path)[part]:
        both = layer_layouts(scope, layer, demands)
        if both is None:
            continue
        if state is None:
            entered = both[0]
        elif state != both[0]:
            raise HoleError("a Sequential of layers of both layouts")
        state = both[1]
    return entered, state


def is_list(scope: Scope, layer: ModuleTrace) -> bool:
    """Whether a layer is a Sequential itself, which is a list in the port."""
    return scope.program.torch_base(layer.cls) == "Sequential" and not scope.program.method(layer.cls, "forward")


def layers_of(scope: Scope, path: str) -> list[ModuleTrace]:
    """The layers of one Sequential, in order."""
    model, _, inner = path.partition(":")
    prefix = f"{inner}." if inner else ""
    if any(f"{model}:{prefix}{child}" not in scope.program.modules for child in scope.program.modules[path].children):
        raise HoleError("a layer with weights that stands in several places")
    return [scope.program.modules[f"{model}:{prefix}{child}"] for child in scope.program.modules[path].children]


def layer_layouts(scope: Scope, layer: ModuleTrace, demands: list[Demand]) -> tuple[bool, bool] | None:
    """Whether a layer takes, and whether it gives, channels-last values; None where it passes on what it gets."""
    program = scope.program
    base = program.torch_base(layer.cls)
    if base in TRANSPARENT or layer.response in scope.work.activations:
        return None
    forward = program.method(layer.cls, "forward")
    if forward and scope.work.norm_of(layer.cls) is None:
        scope.work.translate(forward)
        if len(scope.work.kept(forward)) != 1 or forward in scope.results:
            raise HoleError("a Sequential of modules that take or give several values")
        demands.append(Demand("call", forward))
        return function_layouts(scope, forward)
    if base in CONSTRUCTORS:
        table = CONSTRUCTORS[base]
        return (table.channels_last, table.channels_last) if not table.elementwise else None
    if layer_title(program, layer.cls) in LAYER_CALLS:
        given, gave = passed(scope, layer)
        return given.tags == {"cl"}, gave.tags == {"cl"}
    if base == "Sequential" and layer.path:
        model = next(p for p, m in program.modules.items() if m is layer).partition(":")[0]
        inner = chain_layouts(scope, f"{model}:{layer.path}", demands)
        return None if inner[0] is None or inner[1] is None else (inner[0], inner[1])
    raise HoleError(f"a Sequential with {base}")


def passed(scope: Scope, layer: ModuleTrace) -> Passed:
    """What went in and out of a layer. A convolution that follows has its input channels-last from the start."""
    if len(layer.passed) != 2 or not layer.passed[0].n:
        raise HoleError("a layer in a Sequential that never ran")
    given, gave = layer.passed
    if len(given.tags) > 1 or len(gave.tags) > 1:
        raise HoleError("mixed layout: sometimes channels-last, sometimes not")
    follower = next_layer(scope, layer)
    if follower is not None and gave.ranks <= {3, 4, 5}:
        base = scope.program.torch_base(follower.cls)
        if base in CONSTRUCTORS and CONSTRUCTORS[base].channels_last:
            gave = dataclasses.replace(gave, tags=frozenset({"cl"}))
    return given, gave


def next_layer(scope: Scope, layer: ModuleTrace) -> ModuleTrace | None:
    """The layer after one in its Sequential that does not take every layout."""
    program = scope.program
    path = next((p for p, m in program.modules.items() if m is layer), "")
    holder = path.rpartition(".")[0] or path.partition(":")[0] + ":"
    if holder not in program.modules or holder == path:
        return None
    following = layers_of(scope, holder)
    for other in following[following.index(layer) + 1 :]:
        if program.torch_base(other.cls) not in TRANSPARENT and other.response not in scope.work.activations:
            return other
    return None


def item(scope: Scope, n: ast.Call) -> ast.expr | None:
    """The function that stands in a Sequential for a layer without weights; None for a layer that stands elsewhere."""
    program = scope.program
    layers = [program.modules[p] for p in scope.seen(n).paths if p in program.modules]
    holders = {in_sequential(scope, p) for p in scope.seen(n).paths}
    if not layers or holders != {True}:
        return None
    both = {passed(scope, layer) for layer in layers}
    given = {(p[0].tags, p[0].ranks) for p in both}
    gave = {(p[1].tags, p[1].ranks) for p in both}
    if len(given) > 1 or len(gave) > 1:
        raise HoleError("a layer in Sequentials of several layouts or ranks")
    call = ast.Call(ast.Name("layer", ast.Load()), [Given(ARGUMENT, ast.Load())], [])
    call.args[0].stands, call.stands = next(iter(both))  # type: ignore[attr-defined]
    title = layer_title(program, layers[0].cls)
    names = list(FUNCTIONS[title][1]) if title in FUNCTIONS else []
    named = {k.arg: k.value for k in n.keywords if k.arg in names or title in NAMED_LENGTHS}
    settings: dict[str | None, ast.expr] = {**dict(zip(names, n.args, strict=False)), **named}
    call.given = settings  # type: ignore[attr-defined]
    n = ast.Call(n.func, n.args[len(names) :], [k for k in n.keywords if k.arg not in settings])
    body = LAYER_CALLS[layer_title(program, layers[0].cls)](scope, call, layers)
    held = sorted(loads(body) & (scope.locals - {ARGUMENT}) - still(scope))  # what a loop may bind again
    values = [ast.Name(name, ast.Load()) for name in held]
    parameters = ast.arguments([], [ast.arg(name) for name in (ARGUMENT, *held)], None, [], [], None, list(values))
    return ask(ast.Lambda(parameters, body), *[Demand("assume", a) for a in looked_up(scope, n)])


def still(scope: Scope) -> set[str]:
    """Parameters that nothing assigns."""
    return {name for name in scope.params if not scope.reached_stores.get(name, 0)}


def in_sequential(scope: Scope, path: str) -> bool:
    """Whether a module is a layer of a Sequential."""
    model, _, inner = path.partition(":")
    holder = scope.program.modules.get(f"{model}:{inner.rpartition('.')[0]}")
    return bool(inner) and holder is not None and scope.program.torch_base(holder.cls) == "Sequential"


def function_layouts(scope: Scope, fid: str) -> tuple[bool, bool]:
    """Whether a one-argument function takes, and whether it gives, channels-last values."""
    inner = scope.work.scope(fid)
    seen = inner.trace.params.get(scope.work.kept(fid)[0])
    tags = set(seen.tags) if seen is not None else set()
    given = {t for s in ast.walk(inner.tree) if isinstance(s, ast.Return) for t in inner.seen(s.value).tags}
    if len(tags) != 1 or len(given) != 1:
        raise HoleError("mixed layout: a module in a Sequential is sometimes channels-last, sometimes not")
    return tags == {"cl"}, given == {"cl"}
