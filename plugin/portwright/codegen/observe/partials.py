"""`functools.partial` of a module class or a function: a call of it is a call with more keywords."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch

SURROUNDINGS = ("device", "dtype")  # where a layer's weights lie, which are loaded


class Partials:
    """The partials that instrumented code made, with the calls that made them."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[str, Any]] = {}  # by identity: "fid#number", and itself, so that it stays

    def note(self, value: Any, place: str) -> None:
        if isinstance(value, functools.partial):
            self.made[id(value)] = (place, value)

    def place(self, value: functools.partial[Any]) -> str:
        """The call that made a partial; "" for one made at import, whose arguments no config can change."""
        return self.made.get(id(value), ("", None))[0]


def bound_keywords(value: Any) -> tuple[tuple[str, Any], ...] | None:
    """The keywords that a partial of a module class or a function adds; None where they are not plain, or no names."""
    if not isinstance(value, functools.partial) or value.args:
        return None
    is_class = isinstance(value.func, type) and issubclass(value.func, torch.nn.Module)
    if not is_class and not isinstance(value.func, (types.FunctionType, types.MethodType)):
        return None
    named = (type, types.FunctionType)  # what is called by its own name in a port need not be handed over
    held = {k: v for k, v in value.keywords.items() if not ((is_class and k in SURROUNDINGS) or isinstance(v, named))}
    plain = all(v is None or isinstance(v, (bool, int, float, str)) for v in held.values())
    return tuple(held.items()) if plain else None
