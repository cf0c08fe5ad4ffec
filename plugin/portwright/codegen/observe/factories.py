"""Calls that construct a module of a class that the caller does not name."""

from __future__ import annotations

import types
from typing import Any

import torch

from portwright.codegen.observe.policy import is_rewritten
from portwright.codegen.observe.resolve import resolve
from portwright.codegen.observe.seeing import is_config

FACTORIES = frozenset({"from_config", "_from_config"})  # class methods of libraries that take a config object


class Factories:
    """The classes that such calls were found to construct."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, type], type | None] = {}

    def made(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> type | None:
        """The class that a library's factory makes of a config; its constructor is reached before it runs for good.

        The same for a class whose `__new__` makes an object of another class.
        """
        if isinstance(function, type):
            return self.stood_for(function, args, kwargs)
        config = args[0] if args else kwargs.get("config")
        if getattr(function, "__name__", "") not in FACTORIES or not is_config(config):
            return None
        target = resolve(function)
        of_module = target.cls is not None and issubclass(target.cls, torch.nn.Module)
        if target.function is not None and is_rewritten(target.function) and of_module:
            return None
        key = (target.cls, type(config))
        if key not in self.known:
            made = function(*args, **kwargs)  # seen by nobody: only then is the class known
            self.known[key] = type(made) if isinstance(made, torch.nn.Module) else None
        return self.known[key]

    def stood_for(self, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> type | None:
        """The module class that a class's own `__new__` makes in its place; None where it makes its own objects."""
        if not issubclass(cls, torch.nn.Module) or not isinstance(cls.__new__, types.FunctionType):
            return None
        if (cls, cls) not in self.known:
            made = cls(*args, **kwargs)
            self.known[cls, cls] = type(made) if isinstance(made, torch.nn.Module) else None
        return self.known[cls, cls]
