"""Turn what a recorder saw into the frozen, serialisable trace."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from portwright.codegen.observe.configs import config_traces, jsonable, root_config
from portwright.codegen.observe.modules import Paths, model_trace
from portwright.codegen.observe.policy import is_rewritten
from portwright.codegen.observe.recorder import Reached, Recorder
from portwright.codegen.observe.resolve import class_key, function_key, python_function
from portwright.codegen.observe.samples import Sampler
from portwright.codegen.source import licence_of
from portwright.codegen.trace import ClassTrace, FunctionTrace, GlobalRef, ModelTrace, SampleCall, Trace

PLAIN = (bool, int, float, str, type(None))


def global_ref(value: Any, recorder: Recorder) -> GlobalRef:
    """What a global name stands for."""
    if isinstance(value, types.ModuleType):
        return GlobalRef("module", value.__name__)
    if isinstance(value, torch.dtype):
        return GlobalRef("dtype", str(value).removeprefix("torch."))
    if isinstance(value, PLAIN) or (isinstance(value, (tuple, list, dict)) and jsonable(value)):
        return GlobalRef("const", type(value).__name__, value)
    if isinstance(value, type):
        recorder.classes[class_key(value)] = value
        return GlobalRef("class", f"{value.__module__}.{value.__qualname__}", cls=class_key(value))
    function = python_function(value) if callable(value) else None
    if function is not None:
        reached = recorder.by_function.get(function)
        fid = reached.fid if reached is not None else ""
        return GlobalRef("function", f"{function.__module__}.{function.__qualname__}", fid=fid)
    name = getattr(value, "__name__", type(value).__name__)
    return GlobalRef("other", f"{getattr(value, '__module__', '') or ''}.{name}")


def owner_class(reached: Reached) -> type | None:
    """The class whose body defines the function."""
    found: Any = reached.function.__globals__
    for index, name in enumerate(reached.classes):
        found = found.get(name) if index == 0 else getattr(found, name, None)
        if found is None:
            return None
    return found if isinstance(found, type) else None


def function_trace(reached: Reached, recorder: Recorder, paths: Paths) -> FunctionTrace:
    function = reached.function
    owner = owner_class(reached)
    binding = "function"
    if owner is not None:
        recorder.classes[class_key(owner)] = owner
        static = inspect.getattr_static(owner, function.__name__, None)
        kinds = ((staticmethod, "static"), (classmethod, "class"), (property, "property"))
        binding = next((name for kind, name in kinds if isinstance(static, kind)), "method")
    names = {n.id for n in ast.walk(reached.tree) if isinstance(n, ast.Name)}
    local = {*function.__code__.co_varnames, *function.__code__.co_cellvars, *function.__code__.co_freevars}
    refs = {
        n: global_ref(function.__globals__[n], recorder) for n in sorted(names - local) if n in function.__globals__
    }
    parameters = inspect.signature(function).parameters
    return FunctionTrace(
        fid=reached.fid,
        module=function.__module__,
        name=function.__name__,
        owner=class_key(owner) if owner is not None else "",
        binding=binding,
        file=function.__code__.co_filename,
        line=reached.line,
        source=reached.source,
        entered=reached.entered,
        params={k: s.frozen(paths.of) for k, s in reached.params.items()},
        nodes={str(k): s.frozen(paths.of) for k, s in sorted(reached.nodes.items())},
        globals=refs,
        defaults={k: p.default for k, p in parameters.items() if p.default is not p.empty and jsonable(p.default)},
        starred=frozenset(reached.starred),
        decorators=tuple(qualified(function, d) for d in reached.decorators),
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
        torch_base = next(c.__name__ for c in cls.__mro__ if c.__module__.startswith("torch.nn"))
    try:
        file, line = inspect.getsourcefile(cls) or "", inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        file, line = "", 0
    return ClassTrace(
        class_key(cls), cls.__name__, cls.__module__, tuple(map(class_key, bases)), torch_base, line, file
    )


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


def sample_calls(sampler: Sampler, paths: Paths) -> tuple[SampleCall, ...]:
    """The recorded calls, with module paths in place of identities."""
    out = []
    for call in sampler.calls:
        path = paths.of(sampler.modules[int(call.path[1:])]) if call.path else ""
        out.append(SampleCall(call.fid, path, call.tensors, call.plain, call.outputs))
    return tuple(out)


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
    functions = {r.fid: function_trace(r, recorder, paths) for r in recorder.reached}
    model_traces: tuple[ModelTrace, ...] = tuple(
        model_trace(m, c, sampler) for m, c in zip(models, configs, strict=True)
    )
    files = dict.fromkeys(f.file for f in functions.values() if f.entered)
    licences = dict.fromkeys(licence_of(recorder.sources.texts[f]) for f in files if f in recorder.sources.texts)
    return Trace(
        reference=reference,
        root=class_key(cls),
        entry=function_key(forward) if forward else "",
        init=function_key(init) if init and is_rewritten(init) else "",
        config_style=config_style(cls),
        library=library_of(cls),
        classes=all_classes(recorder, models),
        functions=functions,
        models=model_traces,
        samples=sample_calls(sampler, paths),
        root_config=root_config(models),
        configs=config_traces(models),
        config_defaults=config_defaults(cls),
        licences=tuple(x for x in licences if x),
        probes=tuple(probes),
        arguments=arguments,
    )
