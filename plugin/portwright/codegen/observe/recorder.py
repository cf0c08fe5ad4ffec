"""The probes' other end: instruments each callee before it runs, and accumulates what every expression was."""

from __future__ import annotations

import ast
import dataclasses
import functools
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from portwright.codegen.observe import layouts
from portwright.codegen.observe.aliases import Aliases, memory, versions
from portwright.codegen.observe.captured import Captures
from portwright.codegen.observe.configs import jsonable
from portwright.codegen.observe.contexts import Context, Contexts, Reached, Site, Source
from portwright.codegen.observe.factories import Factories
from portwright.codegen.observe.instrument import PROBE, instrumented_code
from portwright.codegen.observe.partials import Partials, bound_keywords
from portwright.codegen.observe.policy import is_rewritten
from portwright.codegen.observe.resolve import as_callee, class_key, function_key, python_function, resolve
from portwright.codegen.observe.samples import Sampler
from portwright.codegen.observe.seeing import Seeing
from portwright.codegen.trace import Callee


class SourceIndex:
    """Finds a function's source text and its enclosing classes by file, name and first line."""

    def __init__(self) -> None:
        self.files: dict[str, dict[tuple[str, int], Source]] = {}
        self.texts: dict[str, str] = {}

    def find(self, function: types.FunctionType) -> Source | None:
        path = function.__code__.co_filename
        if path not in self.files:
            try:
                text = Path(path).read_text(encoding="utf-8")
                tree = ast.parse(text)
            except (OSError, SyntaxError, ValueError):
                self.files[path] = {}
                return None
            self.texts[path] = text
            self.files[path] = {}
            self._walk(tree, (), text.splitlines(keepends=True), self.files[path])
        return self.files[path].get((function.__name__, function.__code__.co_firstlineno))

    def _walk(self, node: ast.AST, classes: tuple[str, ...], lines: list[str], out: dict[Any, Any]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                continue
            if isinstance(child, ast.FunctionDef):
                first = min([child.lineno] + [d.lineno for d in child.decorator_list])
                source = "".join(lines[child.lineno - 1 : child.end_lineno])
                names = tuple(ast.unparse(d.func if isinstance(d, ast.Call) else d) for d in child.decorator_list)
                out[(child.name, first)] = Source(source, child.lineno, classes, names)
                self._walk(child, classes, lines, out)
            else:
                inner = (*classes, child.name) if isinstance(child, ast.ClassDef) else classes
                self._walk(child, inner, lines, out)


def forget(function: Any) -> None:
    """Empty the cache of results that a decorator keeps: a call that it answers would be seen by nobody."""
    while function is not None:
        for held in (function, *[c.cell_contents for c in getattr(function, "__closure__", None) or () if is_set(c)]):
            clear = getattr(held, "cache_clear", None)
            if clear is not None and hasattr(held, "cache_info"):
                clear()
        function = getattr(function, "__wrapped__", None)


def is_set(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


class Recorder:
    """Everything one observation sees. Its methods named after probe kinds are called by instrumented code."""

    def __init__(
        self, promoted: frozenset[tuple[str, int]], sampler: Sampler, sources: SourceIndex, captures: Captures
    ) -> None:
        self.promoted = promoted
        self.captures = captures
        self.sampler = sampler
        self.sources = sources
        self.contexts = Contexts()
        self.aliases = Aliases()
        self.reached: list[Reached] = []
        self.by_function: dict[types.FunctionType, Reached | None] = {}
        self.originals: dict[types.FunctionType, types.CodeType] = {}
        self.classes: dict[str, type] = {}
        self.behind: set[tuple[str, int]] = set()  # makers of what became channels-last values
        self.factories = Factories()
        self.passed: dict[int, tuple[Seeing, Seeing]] = {}  # what layers in a Sequential were given and gave
        self.partials = Partials()
        self.hooks: list[Any] = []
        self.roots: set[int] = set()  # the models themselves, by identity
        self.public: set[str] = set()  # the root's methods that users call too: they take and give the usual layout
        self.keywords: dict[str, list[Any]] = {}  # what arrived in the **kwargs of the root's forward
        self.outputs: set[str] = set()  # what the root's results have by name
        self.entry = ""  # the root's forward: its parameters may be promoted like any expression

    # -- probes, called as __portwright__.<name>(here, ...) ---------------------------------------------------

    def enter(self, index: int, values: dict[str, Any]) -> Context:
        reached = self.reached[index]
        here = self.contexts.enter(reached, values)
        here.entered += 1
        self.aliases.bind(here, tuple(values))
        for name, value in values.items():
            if name == reached.kwname:
                here.arrived(set(value), set(value))
                if reached.fid == self.entry:
                    for key, given in value.items():
                        self.keywords.setdefault(key, []).append(given if jsonable(given) else None)
            if reached.fid == self.entry or reached.fid in self.public:
                self.mark(here, parameter_number(list(values).index(name)), value)
            here.params.setdefault(name, Seeing()).see(value)
        return here

    def name(self, here: Context, number: int, value: Any, name: str) -> Any:
        if isinstance(value, torch.Tensor):
            self.aliases.read(here, value, name)
        return self.value(here, number, value)

    def names(self, here: Context, *names: str) -> None:
        """Names that have just been bound."""
        self.aliases.bind(here, names)

    def changed(self, here: Context, number: int, target: int, name: str, value: Any) -> None:
        """A statement has stored into a value."""
        if target not in here.nodes or name:
            here.node(target).see(value)
        if isinstance(value, torch.Tensor):
            self.aliases.change(here, number, name, value)

    def value(self, here: Context, number: int, value: Any) -> Any:
        here.node(number).see(value)
        self.meet(value)
        if isinstance(value, (types.FunctionType, types.MethodType)):
            self.note(here.node(number), value, self.callee(value))
        return value

    def made(self, here: Context, number: int, value: Any) -> Any:
        self.mark(here, number, value)
        if isinstance(value, torch.Tensor):
            self.aliases.read(here, value, "")
        return self.value(here, number, value)

    def item(self, here: Context, number: int, value: Any, base: Any, name: str) -> Any:
        self.mark(here, number, value)
        if isinstance(base, torch.Tensor) and isinstance(value, torch.Tensor):
            self.aliases.read(here, value if memory(value) == memory(base) else base, name)
        return self.value(here, number, value)

    def test(self, here: Context, number: int, value: Any) -> Any:
        s = here.node(number)
        s.tensor_test |= isinstance(value, torch.Tensor)
        if isinstance(value, torch.Tensor) and value.numel() != 1:
            s.truth |= {True, False}  # the last of `a or b`, whose truth nobody asks
        else:
            s.truth.add(bool(value))
        return value

    def attribute(self, here: Context, number: int, holder: Any, name: str) -> Any:
        found = getattr(type(holder), name, None)
        computed = found.fget if isinstance(found, property) else None
        if isinstance(found, functools.cached_property):
            computed = found.func
            vars(holder).pop(name, None)  # what it remembers would be seen by nobody
        if computed is not None:
            function = python_function(computed)
            if function is not None:
                self.reach(function)
            value = self.from_site(Site(here, number), getattr, holder, name)
        else:
            value = getattr(holder, name)
        self.mark(here, number, value)
        if isinstance(value, torch.Tensor):
            self.aliases.read(here, value, "")
        return self.value(here, number, value)

    def bound(self, here: Context, number: int, holder: Any, name: str) -> Any:
        """The function of a method call; looked up like an attribute, but not itself a value."""
        value = getattr(holder, name)
        here.node(number).see(value)
        return value

    def call(self, here: Context, number: int, named: list[str], function: Any, /, *args: Any, **kwargs: Any) -> Any:
        s = here.node(number)
        if len(kwargs) > len(named):
            s.starred |= set(kwargs) - set(named)
        cls = self.factories.made(function, args, kwargs) or function
        callee = self.callee(cls)
        self.note(s, function, callee)
        before = versions((getattr(function, "__self__", None), *args, *kwargs.values())) if not callee.fid else []
        for value in (*args, *kwargs.values()):
            if isinstance(value, (types.FunctionType, types.MethodType)):
                self.meet(value)
        forget(function)
        site = Site(here, number)
        outer = self.is_outer(function)
        if outer:
            args, kwargs = tuple(map(layouts.untagged, args)), {k: layouts.untagged(v) for k, v in kwargs.items()}
        result = self.from_site(site, function, *args, **kwargs)
        layouts.register(function, args, kwargs)
        if outer:
            result = layouts.untagged(result)
        if isinstance(function, torch.nn.Module):
            self.captures.called(here, number, function, result, [(s.context, s.number) for s in self.contexts.sites])
        self.partials.note(result, f"{here.reached.fid}#{number}")
        if isinstance(cls, type) and isinstance(result, torch.nn.Module):
            self.contexts.built.setdefault(id(result), site)
            s.involved[id(result)] = result
        self.sampler.called(function, args, kwargs, result, site.entered)
        if isinstance(function, types.BuiltinFunctionType) or not isinstance(function, (torch.nn.Module, type)):
            inputs = (*args, *kwargs.values(), getattr(function, "__self__", None))
            for made in layouts.parts(function, result):
                layouts.inherit(made, inputs if made is not result else ())
                self.mark(here, number, made, inputs)
        elif isinstance(function, torch.nn.Module) and not callee.fid and isinstance(result, torch.Tensor):
            self.mark_layer(here, number, function, args, result)
        if resolve(function).torch:
            self.behind |= layouts.behind(function, (*args, getattr(function, "__self__", None)), result)
        for tensor, version in before:
            if tensor._version != version:
                s.fills.add("weight" if self.aliases.is_weight(tensor) else "value")
                self.aliases.change(here, number, here.reached.changed_names.get(number, ""), tensor)
        self.aliases.meet(result)
        s.see(result)
        return result

    def is_outer(self, function: Any) -> bool:
        """Whether a call crosses a boundary that users see: the root's public methods, objects that these give."""
        target = resolve(function)
        if target.function is None or self.reach(target.function) is None:
            return False
        if isinstance(function, type):
            return not issubclass(function, torch.nn.Module) and not hasattr(function, "to_tuple")
        holder = getattr(function, "__self__", None)
        if holder is None or id(holder) not in self.roots or is_private(target.function.__name__):
            return False
        self.public.add(function_key(target.function))
        return True

    def from_site(self, site: Site, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.contexts.sites.append(site)
        try:
            return function(*args, **kwargs)
        finally:
            self.contexts.sites.pop()

    def note(self, s: Seeing, function: Any, callee: Callee) -> None:
        """Remember a callee, and the module that it belongs to."""
        s.callees[callee] = None
        holder = function if isinstance(function, torch.nn.Module) else getattr(function, "__self__", None)
        if isinstance(holder, torch.nn.Module):
            s.involved[id(holder)] = holder

    # -- reaching -------------------------------------------------------------------------------------------

    def meet(self, value: Any) -> None:
        """A function that is passed around may be called where no probe sees it: instrument it on sight."""
        if isinstance(value, (types.FunctionType, types.MethodType)):
            target = resolve(value)
            if target.function is not None:
                self.reach(target.function)

    def callee(self, function: Any) -> Callee:
        bound = bound_keywords(function)
        if bound is not None:
            place = self.partials.place(function)
            return dataclasses.replace(self.callee(function.func), bound=bound, bound_at=place)
        target = resolve(function)
        reached = self.reach(target.function) if target.function is not None else None
        if target.cls is not None:
            self.classes[class_key(target.cls)] = target.cls
        if isinstance(function, torch.nn.Sequential) and target.torch:
            for layer in function:  # torch's own loop calls these, where no probe sees it
                self.callee(layer)
                if id(layer) not in self.passed:
                    self.passed[id(layer)] = (Seeing(), Seeing())
                    self.hooks.append(layer.register_forward_hook(self.passing))
        return as_callee(target, reached.fid if reached is not None else "")

    def passing(self, layer: torch.nn.Module, args: tuple[Any, ...], result: Any) -> None:
        """A forward hook of the layers in a Sequential."""
        given, gave = self.passed[id(layer)]
        given.see(args[0] if len(args) == 1 else args)
        gave.see(result)

    def reach(self, function: types.FunctionType) -> Reached | None:
        """Instrument `function` unless that is done or it is a leaf."""
        if function in self.by_function:
            return self.by_function[function]
        self.by_function[function] = None
        found = self.sources.find(function) if is_rewritten(function) else None
        if found is None:
            return None
        reached = Reached(function, self.captures.written_out(found, function_key(function)))
        index = len(self.reached)
        self.reached.append(reached)
        code = instrumented_code(reached.tree, index, function)
        self.by_function[function] = reached
        self.originals[function] = function.__code__
        function.__globals__[PROBE] = self
        function.__code__ = code
        return reached

    def mark(self, here: Context, number: int, value: Any, inputs: tuple[Any, ...] = ()) -> None:
        """Remember which expression made a tensor, and tag it when an earlier round asked for that."""
        if not isinstance(value, torch.Tensor) or isinstance(value, torch.nn.Parameter) or value.ndim not in (3, 4, 5):
            return
        if hasattr(value, layouts.MADE_BY) or hasattr(value, layouts.HELD) or any(value is i for i in inputs):
            return
        key = (here.reached.fid, number)
        setattr(value, layouts.MADE_BY, key)
        if key in self.promoted and not getattr(value, layouts.TAG, "") and not hasattr(value, layouts.LAST):
            setattr(value, layouts.TAG, "cl")

    def mark_layer(
        self, here: Context, number: int, layer: torch.nn.Module, args: tuple[Any, ...], result: torch.Tensor
    ) -> None:
        """The result of a layer: one without weights that keeps its input's shape keeps its layout, and its maker."""
        given = args[0] if args else None
        alike = isinstance(given, torch.Tensor) and given.shape == result.shape
        keeps = alike and next(layer.parameters(), None) is None
        if keeps and not hasattr(result, layouts.MADE_BY):
            maker = getattr(given, layouts.MADE_BY, None)
            if maker is not None:
                setattr(result, layouts.MADE_BY, maker)
        elif not keeps:
            self.mark(here, number, result, args)

    def undecided(self) -> set[tuple[str, int]]:
        """Makers of values that met channels-last ones of their rank at one expression.

        A transpose makes attention heads, whose second axis is no channel axis: they stay as they are.
        """
        met: dict[tuple[str, Any], list[Seeing]] = {}
        for c in self.contexts.all:
            for place, s in (*c.nodes.items(), *c.params.items()):
                met.setdefault((c.reached.fid, place), []).append(s)
        found = set(self.behind)
        for seen in met.values():
            ranks = {rank for s in seen for rank in s.tagged_ranks}
            found |= {maker for s in seen for rank, maker in s.untagged if rank in ranks}
        return {k for k in found if not self.may_be_heads(met.get(k, ()))}

    def may_be_heads(self, made: Iterable[Seeing]) -> bool:
        return any(c.name in ("transpose", "swapaxes", "permute") and 4 in s.ranks for s in made for c in s.callees)

    def restore(self) -> None:
        """Give every function its own code back, and take the hooks off."""
        for hook in self.hooks:
            hook.remove()
        for function, code in self.originals.items():
            function.__code__ = code
            function.__globals__.pop(PROBE, None)


def is_private(name: str) -> bool:
    """Methods that a class keeps to itself, and its forward, which is the entry anyway."""
    return name.startswith("_") or name == "forward"


def parameter_number(place: int) -> int:
    """What stands for a parameter where expressions are told apart by their number."""
    return -2 - place
