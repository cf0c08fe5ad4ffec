"""Other configs of an architecture, one field changed at a time, found from its source and annotations (torch side).

Nothing here knows a family: what else a string field may be is read from the comparisons in the source of the classes
that a model is made of, from the tables that its modules look names up in, and from `Literal` annotations.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import torch

# Keys of a config that say where it came from and how it is stored or loaded, not what is computed.
ABOUT = frozenset(
    {
        "architectures",
        "transformers_version",
        "_class_name",
        "_diffusers_version",
        "model_type",
        "dtype",
        "torch_dtype",
        "id2label",
        "label2id",
        "_name_or_path",
        "problem_type",
        "chunk_size_feed_forward",
        "use_cache",
        "return_dict",
        "is_encoder_decoder",
        "portwright",
        "quantization_config",
        "_attn_implementation_autoset",
    }
)
MOST = 8  # alternatives of one string field that are tried
Path = tuple[str | int, ...]


class Source:
    """What the source of a model's classes says about the values that strings may have."""

    def __init__(self, model: torch.nn.Module, config_class: type | None) -> None:
        classes = {c for m in model.modules() for c in type(m).__mro__}
        classes |= set((config_class or object).__mro__)
        names = {c.__module__ for c in classes if not c.__module__.startswith(("torch", "builtins"))}
        self.modules = [sys.modules[n] for n in sorted(names) if n in sys.modules]
        self.groups: list[tuple[str, set[str]]] = []
        for module in self.modules:
            try:
                tree = ast.parse(inspect.getsource(module))
            except (OSError, TypeError):
                continue
            for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
                self.groups += compared(function).items()

    def alternatives(self, field: str, value: str) -> list[str]:
        """Other strings that code compares this field to, or looks up beside its value."""
        found: dict[str, None] = {}
        for name, group in self.groups:
            if name == field or value in group:
                found |= dict.fromkeys(sorted(group))
        tables = [t for m in self.modules for t in vars(m).values() if isinstance(t, Mapping)]
        for table in tables:
            keys = list(table)
            if value in keys and all(isinstance(k, str) for k in keys) and len(keys) < 100:
                found |= dict.fromkeys(sorted(keys, key=lambda k: (len(k), k)))
        return [v for v in found if v != value]


def compared(function: ast.FunctionDef) -> dict[str, set[str]]:
    """For each name in a function, the strings that it is compared to."""
    out: dict[str, set[str]] = {}
    for n in ast.walk(function):
        if isinstance(n, ast.Compare) and isinstance(n.ops[0], (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
            strings = {c.value for c in ast.walk(n.comparators[0]) if isinstance(c, ast.Constant)}
            strings = {s for s in strings if isinstance(s, str)}
            if strings and last_name(n.left):
                out.setdefault(last_name(n.left), set()).update(strings)
    return out


def last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def annotations(cls: type | None) -> dict[str, Any]:
    """The annotations of a config class' fields, or of a constructor's parameters."""
    if cls is None:
        return {}
    try:
        found = dict(typing.get_type_hints(cls))
        found.update(typing.get_type_hints(inspect.unwrap(cls.__init__)))
    except Exception:
        return {}
    return found


def members(annotation: Any) -> Iterator[Any]:
    """The alternatives of a union, flattened."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        for a in typing.get_args(annotation):
            yield from members(a)
    else:
        yield annotation


def variants(model: torch.nn.Module, config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of the change, config): each field of a completed config changed by itself."""
    config_class = getattr(type(model), "config_class", None) or type(model)
    source = Source(model, config_class)
    hints = annotations(config_class)
    base = dict(config)
    root: Any = base.get("kwargs", base)
    prefix: Path = ("kwargs",) if "kwargs" in base else ()
    nested = {k: type(getattr(model.config, k)) for k in root if hasattr(getattr(model, "config", None), k)}
    for path, value in fields(root):
        inner = annotations(nested.get(str(path[0]))) if len(path) > 1 else hints
        for label, new in changes(source, str(path[-1]), value, inner.get(str(path[-1]))):
            made = copy.deepcopy(base)
            place(made, (*prefix, *path), new)
            yield f"{'.'.join(map(str, path))}={label}", made
    if "is_causal" not in root and hasattr(getattr(model, "config", None), "get_text_config"):
        yield "is_causal=False", {**base, "is_causal": False}  # a field that no class has and the masks ask for


def completed(config: dict[str, Any], label: str, problem: str) -> dict[str, Any] | None:
    """The config with the keys that its library says are missing beside a changed nested one; None if it says none."""
    path = label.partition("=")[0].split(".")
    listed = re.search(r"[Mm]issing required keys.*\{(.*)\}", problem)
    missing = sorted(re.findall(r"'(\w+)'", listed[1])) if listed else []
    if len(path) < 2 or not missing:
        return None
    made = copy.deepcopy(config)
    for index, name in enumerate(missing):
        value: Any = 16 if "position" in name else 2.0 + index
        place(made, (*path[:-1], name), [value] * 4 if name.startswith(("long_", "short_")) else value)
    return made


def fields(config: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Every field with its path, those of nested objects too."""
    for key, value in config.items():
        if key in ABOUT:
            continue
        yield (key,), value
        if isinstance(value, Mapping):
            for path, inner in fields(value):
                yield (key, *path), inner


def place(config: Any, path: Path, value: Any) -> None:
    for part in path[:-1]:
        config = config[part]
    config[path[-1]] = value


def changes(source: Source, name: str, value: Any, annotation: Any) -> Iterator[tuple[str, Any]]:
    """Other values of one field, with what to call them."""
    kinds = list(members(annotation)) if annotation is not None else []
    options = [o for k in kinds if typing.get_origin(k) is typing.Literal for o in typing.get_args(k)]
    if isinstance(value, bool):
        yield str(not value), not value
    elif isinstance(value, int):
        for new in dict.fromkeys([value * 2, max(value // 2, 1), value + 1]):
            if new != value:
                yield str(new), new
    elif isinstance(value, float):
        yield str(value * 1.5 + 0.125), value * 1.5 + 0.125
    elif isinstance(value, str):
        for new in dict.fromkeys(
            [*[o for o in options if isinstance(o, str)], *source.alternatives(name, value)][:MOST]
        ):
            if new != value:
                yield new, new
    elif isinstance(value, (list, tuple)) and value:
        yield from changed_list(source, name, list(value), annotation)
    elif value is None:
        for kind in [k for k in kinds if k is not type(None)]:
            for new in example(kind):
                yield str(new), new
        for new in [s for n, group in source.groups if n == name for s in sorted(group)][:MOST]:
            yield new, new
    if value is not None and not isinstance(value, (bool, Mapping)):
        yield "None", None


def changed_list(source: Source, name: str, value: list[Any], annotation: Any) -> Iterator[tuple[str, Any]]:
    """A list with one element changed, first and last; one element for all; a shorter and a longer list."""
    for index in {0, len(value) - 1}:
        for label, new in list(changes(source, name, value[index], None))[:MOST]:
            if new is not None:
                made = [*value[:index], new, *value[index + 1 :]]
                yield f"[{index}]{label}", made
    yield "shorter", value[:-1]
    yield "longer", [*value, value[-1]]
    yield "first", value[0]


def example(kind: Any) -> list[Any]:
    """Values of an annotated type to put in the place of None."""
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    return {bool: [True], int: [2, 8], float: [0.7], str: []}.get(kind, [])
