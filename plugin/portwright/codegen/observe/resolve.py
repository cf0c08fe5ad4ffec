"""From a called object to the Python function that will run, and to the record that names it."""

from __future__ import annotations

import functools
import inspect
import types
from dataclasses import dataclass
from typing import Any

import torch

from portwright.codegen.observe.policy import global_name, is_rewritten
from portwright.codegen.trace import Callee

BUILTINS = (types.BuiltinFunctionType, types.BuiltinMethodType, types.MethodWrapperType, types.MethodDescriptorType)


@dataclass(frozen=True)
class Target:
    """What a call reaches: how it is called, its name, and the function to instrument (None for leaves)."""

    sort: str
    name: str
    function: types.FunctionType | None
    cls: type | None
    module: str
    torch: bool


def python_function(f: Any) -> types.FunctionType | None:
    """The innermost function, decorators looked through."""
    try:
        f = inspect.unwrap(f)
    except ValueError:
        return None
    return f if isinstance(f, types.FunctionType) else None


def is_torch(module: str | None) -> bool:
    return (module or "").partition(".")[0] in ("torch", "_VariableFunctions", "torch._C")


def resolve(called: Any) -> Target:
    """Say what `called(...)` runs; never guesses: what is not known is sort "other"."""
    if isinstance(called, functools.partial):
        inner = resolve(called.func)
        if inner.function is not None and is_rewritten(inner.function) and not (called.args or called.keywords):
            return inner
        return Target("other", f"partial of {inner.name}", None, None, "functools", False)  # a row would miss arguments
    if isinstance(called, torch.nn.Module):
        cls = type(called)
        return Target(
            "module", cls.__name__, python_function(cls.forward), cls, cls.__module__, is_torch(cls.__module__)
        )
    if isinstance(called, types.MethodType):
        function = python_function(called.__func__)
        owner = called.__self__ if isinstance(called.__self__, type) else type(called.__self__)
        if issubclass(owner, torch.autograd.Function) and called.__name__ == "apply":
            forward = python_function(inspect.getattr_static(owner, "forward").__func__)
            return Target("function", owner.__name__, forward, None, owner.__module__, False)
        module = getattr(called, "__module__", "") or ""
        return Target("method", called.__name__, function, owner, module, is_torch(module))
    if isinstance(called, types.FunctionType):
        function = python_function(called)
        module = (function or called).__module__ or ""
        return Target("function", (function or called).__name__, function, None, module, is_torch(module))
    if isinstance(called, type):
        return Target(
            "class",
            called.__name__,
            python_function(vars(called).get("__init__") or inherited_init(called)),
            called,
            called.__module__,
            is_torch(called.__module__),
        )
    if isinstance(called, BUILTINS):
        return builtin(called)
    if callable(type(called)) and not isinstance(called, type):
        cls = type(called)
        function = python_function(cls.__call__)
        if function is not None:
            return Target("object", cls.__name__, function, cls, cls.__module__, is_torch(cls.__module__))
    name = getattr(called, "__name__", type(called).__name__)
    module = getattr(called, "__module__", None) or type(called).__module__
    return Target("other", str(name), None, None, str(module), is_torch(str(module)))


def inherited_init(cls: type) -> Any:
    """The constructor that a class inherits."""
    return next((vars(c)["__init__"] for c in cls.__mro__ if "__init__" in vars(c)), None)


def builtin(called: Any) -> Target:
    """A function written in C: torch's, Python's own or another extension's."""
    owner = getattr(called, "__self__", None)
    module = getattr(called, "__module__", None) or ""
    of_torch = isinstance(owner, torch.Tensor) or is_torch(module) or "VariableFunctions" in str(owner)
    if isinstance(owner, types.ModuleType):
        module = module or owner.__name__
    elif owner is not None and not of_torch:
        module = module or type(owner).__name__
    return Target("builtin", called.__name__, None, None, module, of_torch)


def class_key(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def function_key(function: types.FunctionType) -> str:
    return f"{function.__module__}:{global_name(function) or function.__qualname__}"


def as_callee(target: Target, fid: str) -> Callee:
    """The record of what a call reaches; `fid` is the instrumented function behind it, if any."""
    return Callee(
        sort=target.sort,
        name=target.name,
        fid=fid,
        cls=class_key(target.cls) if target.cls is not None else "",
        module=target.module,
        torch=target.torch,
    )
