"""`functools.partial` of a module class: a call of it is a constructor call with more keywords."""

from __future__ import annotations

import functools
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
    """The keywords that a partial of a module class adds; None for anything else, and where they are not plain."""
    if not isinstance(value, functools.partial) or value.args or not isinstance(value.func, type):
        return None
    held = {k: v for k, v in value.keywords.items() if k not in SURROUNDINGS}
    plain = all(v is None or isinstance(v, (bool, int, float, str)) for v in held.values())
    return tuple(held.items()) if plain and issubclass(value.func, torch.nn.Module) else None
