"""Record the config objects of the observed models: the root's, and those that it holds."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from portwright.codegen.observe.resolve import class_key
from portwright.codegen.observe.seeing import is_config
from portwright.codegen.trace import ConfigTrace

DEPTH = 4  # of configs in configs


def jsonable(value: Any) -> bool:
    """Whether a value can be written as JSON."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def own_config(model: torch.nn.Module) -> Any:
    """A model's config object; None where its constructor's arguments are its config."""
    config = getattr(model, "config", None)
    return config if is_config(config) and hasattr(config, "to_dict") else None


def root_config(models: Sequence[torch.nn.Module]) -> str:
    """The key of the config class of the observed models."""
    config = own_config(models[0])
    return class_key(type(config)) if config is not None else ""


def held(config: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """A config and every config inside it, with their paths."""
    yield path, config
    if depth == DEPTH:
        return
    for name, value in vars(config).items():
        if not name.startswith("_") and is_config(value) and hasattr(value, "to_dict"):
            yield from held(value, f"{path}.{name}" if path else name, depth + 1)


def plain_fields(config: Any) -> dict[str, Any]:
    """What a config object saves, as JSON values."""
    try:
        return {k: v for k, v in config.to_dict().items() if jsonable(v)}
    except Exception:
        return {}


def defaults_of(cls: type) -> dict[str, Any]:
    """The fields of a config class that is given nothing; empty where it wants something."""
    try:
        return plain_fields(cls())
    except Exception:
        return {}


def properties_of(cls: type, which: str = "fget") -> dict[str, str]:
    """The source of each property that a config class computes from its fields; "fset": of what assigning it does."""
    found = {}
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        if not isinstance(value, property) or getattr(value, which) is None or name.startswith("_"):
            continue
        try:
            found[name] = textwrap.dedent(inspect.getsource(getattr(value, which)))
        except (OSError, TypeError):
            continue
    return found


def config_traces(models: Sequence[torch.nn.Module]) -> dict[str, ConfigTrace]:
    """The config classes of all observed models."""
    found: dict[str, dict[str, Any]] = {}
    for model in models:
        root = own_config(model)
        for path, config in held(root) if root is not None else ():
            cls = type(config)
            entry = found.setdefault(class_key(cls), {"cls": cls, "paths": {}, "children": {}, "saved": []})
            entry["paths"][path] = None
            entry["saved"].append(plain_fields(config))
            for name, value in vars(config).items():
                if is_config(value) and hasattr(value, "to_dict"):
                    entry["children"][name] = class_key(type(value))
    return {
        key: ConfigTrace(
            key=key,
            name=entry["cls"].__name__,
            defaults=defaults_of(entry["cls"]),
            attribute_map=dict(getattr(entry["cls"], "attribute_map", None) or {}),
            children=entry["children"],
            paths=tuple(entry["paths"]),
            saved=tuple(entry["saved"]),
            properties=properties_of(entry["cls"]),
            setters=properties_of(entry["cls"], "fset"),
        )
        for key, entry in found.items()
    }
