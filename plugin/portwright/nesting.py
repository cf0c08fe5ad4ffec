"""Arguments of tensors inside dicts and lists, in the flat form that a file of tensors can hold.

A tensor named `added_cond_kwargs.time_ids` is the entry `time_ids` of the dict argument `added_cond_kwargs`; where
every name of a level is a number (`residuals.0`, `residuals.1`), the argument is a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name, dotted names gathered. Raises ValueError where a name is both a value and a holder."""
    out: dict[str, Any] = {}
    for name, value in flat.items():
        *holders, last = name.split(".")
        inner = out
        for holder in holders:
            inner = inner.setdefault(holder, {})
            if not isinstance(inner, dict):
                raise ValueError(f"the argument {name} lies inside another that is no dict")
        inner[last] = value
    return {k: listed(v) for k, v in out.items()}


def listed(value: Any) -> Any:
    """A dict whose keys count from 0 as a list, inner ones first."""
    if not isinstance(value, dict):
        return value
    inner = {k: listed(v) for k, v in value.items()}
    if inner and set(inner) == {str(i) for i in range(len(inner))}:
        return [inner[str(i)] for i in range(len(inner))]
    return inner


def is_described_module(value: Any) -> bool:
    """Whether a config's value stands for a module that a constructor takes: `{"module": reference, "config": {}}`."""
    return isinstance(value, Mapping) and value.keys() == {"module", "config"}


def holds_described_module(value: Any) -> bool:
    """Whether a config's value is a module's description or a list or dict with one in it."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return is_described_module(value) or any(map(holds_described_module, inner))
