"""Turn what a recorder saw into the frozen, serialisable trace."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.metadata
import inspect
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from portwright.codegen.observe.configs import config_traces, jsonable, root_config
from portwright.codegen.observe.docstrings import class_summary
from portwright.codegen.observe.modules import Paths, loose_trace, model_trace, response
from portwright.codegen.observe.policy import enclosed, global_name, is_rewritten
from portwright.codegen.observe.recorder import Recorder
from portwright.codegen.observe.resolve import class_key, function_key, python_function
from portwright.codegen.observe.samples import Sampler
from portwright.codegen.observe.variants import Variant, Variants
from portwright.codegen.source import licence_of, merged_licences
from portwright.codegen.trace import ClassTrace, FunctionTrace, GlobalRef, ModelTrace, SampleCall, Trace

PLAIN = (bool, int, float, str, type(None))


FEW = 64  # numbers of a tensor that a port writes out


def tensor_value(value: Any) -> list[Any] | None:
    """A small tensor as its type's name and its numbers."""
    if not isinstance(value, torch.Tensor) or value.numel() > FEW or value.is_complex():
        return None
    return [str(value.dtype).removeprefix("torch."), value.tolist()]


def global_ref(value: Any, recorder: Recorder, variants: Variants) -> GlobalRef:
    """What a global name stands for."""
    if isinstance(value, types.ModuleType):
        return GlobalRef("module", value.__name__)
    if isinstance(value, torch.dtype):
        return GlobalRef("dtype", str(value).removeprefix("torch."))
    if isinstance(value, PLAIN) or (isinstance(value, (tuple, list, dict)) and jsonable(value)):
        return GlobalRef("const", type(value).__name__, value)
    if type(value) is dict and all(isinstance(k, str) and (v is None or isinstance(v, type)) for k, v in value.items()):
        return GlobalRef("classes", value={k: class_key(c) if c is not None else None for k, c in value.items()})
    numbers = {k: tensor_value(v) for k, v in value.items()} if type(value) is dict else tensor_value(value)
    if numbers and (not isinstance(numbers, dict) or all(numbers.values())):
        return GlobalRef("tensor", value=numbers)
    functions = {k: python_function(v) for k, v in value.items() if callable(v)} if type(value) is dict else {}
    if functions and len(functions) == len(value) and all(isinstance(k, str) for k in functions):
        return GlobalRef("table", value={k: function_key(f) for k, f in functions.items() if f is not None})
    activations = activations_of(value, recorder) if isinstance(value, dict) and type(value) is not dict else {}
    if activations:
        return GlobalRef("activations", type(value).__name__, value=activations)
    if isinstance(value, type):
        recorder.classes[class_key(value)] = value
        return GlobalRef("class", f"{value.__module__}.{value.__qualname__}", cls=class_key(value))
    function = python_function(value) if callable(value) else None
    if function is not None:
        reached = recorder.by_function.get(function)
        fid = variants.only(reached.fid) if reached is not None else ""
        return GlobalRef("function", f"{function.__module__}.{function.__qualname__}", fid=fid)
    name = getattr(value, "__name__", type(value).__name__)
    return GlobalRef("other", f"{getattr(value, '__module__', '') or ''}.{name}")


def activations_of(registry: Mapping[Any, Any], recorder: Recorder) -> dict[str, str]:
    """What each name in a registry of activations answers to a ramp, and torch's layer where that has weights."""
    found: dict[str, str] = {}
    for key in registry:
        try:
            made = registry[key]
        except Exception:
            continue
        answer = response(made, recorder.sampler) if isinstance(made, torch.nn.Module) else ""
        if not answer and type(made).__module__.startswith("torch.nn"):
            answer = type(made).__name__
        if answer and isinstance(key, str):
            found[key] = answer
    return found


def function_trace(variant: Variant, recorder: Recorder, variants: Variants) -> FunctionTrace:
    reached = variant.reached
    function, owner = reached.function, reached.owner
    binding = "function"
    if owner is not None:
        recorder.classes[class_key(owner)] = owner
        static = inspect.getattr_static(owner, function.__name__, None)
        computed = (property, functools.cached_property)
        kinds = ((staticmethod, "static"), (classmethod, "class"), (computed, "property"))
        binding = next((name for kind, name in kinds if isinstance(static, kind)), "method")
    names = {n.id for n in ast.walk(reached.tree) if isinstance(n, ast.Name)}
    local = {*function.__code__.co_varnames, *function.__code__.co_cellvars, *function.__code__.co_freevars}
    refs = {
        n: global_ref(function.__globals__[n], recorder, variants)
        for n in sorted(names - local)
        if n in function.__globals__
    }
    parameters = inspect.signature(function).parameters
    seen = variants.merged(variant)
    return FunctionTrace(
        fid=variant.fid,
        module=function.__module__,
        name=global_name(function) or variant.name,
        owner=variant.owner,
        binding=binding,
        file=function.__code__.co_filename,
        line=reached.line,
        source=reached.source,
        entered=seen.entered,
        params={k: variants.seen(variant, -1, s) for k, s in seen.params.items()},
        nodes={str(k): variants.seen(variant, k, s) for k, s in sorted(seen.nodes.items())},
        globals=refs,
        defaults={k: p.default for k, p in parameters.items() if p.default is not p.empty and jsonable(p.default)},
        default_refs={
            k: global_ref(p.default, recorder, variants)
            for k, p in parameters.items()
            if callable(p.default) and p.default is not p.empty
        },
        default_dtypes={
            k: str(p.default).removeprefix("torch.")
            for k, p in parameters.items()
            if isinstance(p.default, torch.dtype)
        },
        added=reached.added,
        starred=frozenset(seen.starred),
        sometimes=frozenset(seen.starred - (seen.always or set())),
        aliased=frozenset(seen.aliased),
        decorators=tuple(qualified(function, d) for d in reached.decorators),
        enclosed=enclosed(function) if global_name(function) else {},
    )


def qualified(function: types.FunctionType, decorator: str) -> str:
    """A decorator's qualified name, looked up where the function was written."""
    first, *rest = decorator.split(".")
    found = function.__globals__.get(first)
    for attr in rest:
        found = getattr(found, attr, None)
    module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return f"{module}.{name}" if module and name else decorator


def class_trace(cls: type) -> ClassTrace:
    bases = [c for c in cls.__mro__[1:] if c is not object]
    torch_base = ""
    if issubclass(cls, torch.nn.Module):
        # torch makes a subclass of its own for a layer with a parametrized weight
        named = [c for c in cls.__mro__ if c.__module__.startswith("torch.nn")]
        torch_base = next(c.__name__ for c in named if c.__module__ != "torch.nn.utils.parametrize")
    key, names = class_key(cls), tuple(map(class_key, bases))
    said = "" if cls.__module__.startswith("torch.") else class_summary(cls)
    return ClassTrace(
        key, cls.__name__, cls.__module__, names, torch_base, "", constants_of(cls), fields_of(cls), summary=said
    )


def fields_of(cls: type) -> tuple[str, ...]:
    """The fields of a class that does nothing but hold values: a dataclass or a named tuple without code of its own."""
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return tuple(cls._fields) if not own_code(cls) else ()
    plain = dataclasses.is_dataclass(cls) and cls.__mro__[1:] == (object,) and not own_code(cls)
    return tuple(f.name for f in dataclasses.fields(cls)) if plain else ()


def own_code(cls: type) -> bool:
    """Whether a class defines functions under names of its own, or watches how it is made."""
    made = {name for name, value in vars(cls).items() if isinstance(value, (types.FunctionType, property))}
    return any(not name.startswith("_") for name in made) or "__post_init__" in made


def constants_of(cls: type) -> dict[str, Any]:
    """The plain values that a class holds for all its instances, inherited ones included."""
    if cls.__module__.partition(".")[0] in ("torch", *sys.stdlib_module_names) or dataclasses.is_dataclass(cls):
        return {}
    own = [c for c in reversed(cls.__mro__) if not c.__module__.startswith("torch.") and c is not object]
    held = {name: value for c in own for name, value in vars(c).items() if not name.startswith("__")}
    return {
        name: value
        for name, value in held.items()
        if isinstance(value, (bool, int, float, str))
        or (type(value) is list and all(isinstance(x, (bool, int, float, str)) for x in value))
    }


def all_classes(recorder: Recorder, models: Sequence[torch.nn.Module]) -> dict[str, ClassTrace]:
    """Every class met, with its bases."""
    found: dict[str, type] = dict(recorder.classes)
    for model in models:
        found.update({class_key(type(m)): type(m) for m in model.modules()})
    for cls in list(found.values()):
        found.update({class_key(c): c for c in cls.__mro__[1:] if c is not object})
    return {k: class_trace(c) for k, c in sorted(found.items())}


def library_of(cls: type) -> str:
    """ "transformers 5.24.0", or "" for a class that no distribution brings."""
    top = cls.__module__.partition(".")[0]
    try:
        return f"{top} {importlib.metadata.version(top)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def config_style(cls: type) -> str:
    if getattr(cls, "config_class", None) is not None:
        return "object"
    return "explicit" if hasattr(cls, "from_config") and hasattr(cls, "config_name") else "kwargs"


def config_defaults(cls: Any) -> dict[str, Any]:
    """The values that a config field has when a saved config leaves it out."""
    if config_style(cls) == "object":
        try:
            return {k: v for k, v in cls.config_class().to_dict().items() if jsonable(v)}
        except Exception:
            return {}
    parameters = inspect.signature(inspect.unwrap(cls.__init__)).parameters
    return {k: p.default for k, p in parameters.items() if p.default is not p.empty and jsonable(p.default)}


def sample_calls(sampler: Sampler, paths: Paths, variants: Variants) -> tuple[SampleCall, ...]:
    """The recorded calls, with module paths in place of identities."""
    out = []
    for call, context in zip(sampler.calls, sampler.contexts, strict=True):
        path = paths.of(sampler.modules[int(call.path[1:])]) if call.path else ""
        fid = variants.fid(context) if context is not None else call.fid
        out.append(SampleCall(fid, path, call.tensors, call.plain, call.outputs))
    return tuple(out)


def tied_keys(model: torch.nn.Module) -> dict[str, str]:
    """The library's own list of weights that its config may tie, each with the weight that it is tied to."""
    found = getattr(model, "_tied_weights_keys", None)
    state = model.state_dict() if isinstance(found, dict) else {}
    return {k: v for k, v in found.items() if k in state and v in state} if isinstance(found, dict) else {}


def make_trace(
    reference: str,
    cls: type[torch.nn.Module],
    models: Sequence[torch.nn.Module],
    configs: Sequence[Mapping[str, Any]],
    recorder: Recorder,
    probes: Sequence[str],
    arguments: frozenset[str],
) -> Trace:
    """Freeze everything."""
    paths = Paths(models)
    sampler = recorder.sampler
    forward, init = python_function(cls.forward), python_function(cls.__init__)
    variants = Variants(recorder, models, paths)
    functions = {fid: function_trace(v, recorder, variants) for fid, v in variants.functions.items()}
    model_traces: tuple[ModelTrace, ...] = tuple(
        model_trace(m, c, sampler, variants.class_of, recorder.passed) for m, c in zip(models, configs, strict=True)
    )
    files = dict.fromkeys(f.file for f in functions.values() if f.entered)
    licences = merged_licences([licence_of(recorder.sources.texts[f]) for f in files if f in recorder.sources.texts])
    return Trace(
        reference=reference,
        root=class_key(cls),
        entry=function_key(forward) if forward else "",
        init=function_key(init) if init and is_rewritten(init) else "",
        config_style=config_style(cls),
        library=library_of(cls),
        classes=variants.classes(all_classes(recorder, models)),
        functions=functions,
        models=model_traces,
        samples=sample_calls(sampler, paths, variants),
        root_config=root_config(models),
        configs=config_traces(models),
        config_defaults=config_defaults(cls),
        licences=licences,
        probes=tuple(probes),
        tied_keys=tied_keys(models[0]),
        arguments=arguments,
        loose=loose_trace(paths, sampler, variants.class_of),
        outputs=frozenset(recorder.outputs),
        supplied={
            k: values[0]
            for k, values in recorder.keywords.items()
            if k not in arguments
            and isinstance(values[0], (bool, int, float, str))
            and len(set(map(repr, values))) == 1
        },
    )
