"""Build a reference model from its class and the config that its library saves."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from portwright.errors import ExitCode, PortError, Problem
from portwright.nesting import holds_described_module, is_described_module

# Keys that libraries write into a saved config for themselves.
BOOKKEEPING = frozenset(
    {"architectures", "transformers_version", "_class_name", "_diffusers_version", "portwright", "auto_map"}
)
WANTS_TUPLES: set[type] = set()
_NOT_THE_LIBRARY = ("portwright", "auto_map")  # of them, what a transformers config does not keep


def not_built(where: str, problem: str, hint: str = "") -> PortError:
    """The error for a reference that cannot be built or run."""
    return PortError(Problem(where, problem, hint), ExitCode.NOT_BUILT)


def load_class(reference: str) -> type[torch.nn.Module]:
    """Import `module:Class`; a bare transformers `model_type` such as `bert` is looked up in its mapping.

    Raises PortError (NOT_BUILT) when the module or class is missing or is no `nn.Module`.
    """
    if ":" not in reference:
        reference = reference_of_model_type(reference)
    module_name, _, class_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
        cls = getattr(module, class_name)
    except Exception as error:
        raise not_built(reference, f"cannot import it: {error}", "the form is module:Class, importable here") from error
    if not (isinstance(cls, type) and issubclass(cls, torch.nn.Module)):
        raise not_built(reference, "is not an nn.Module class (or a needed library is missing)")
    return cls


def reference_of_model_type(model_type: str) -> str:
    """The base class that transformers maps a `model_type` to: `transformers:Class`, by its module if not exported."""
    import transformers
    from transformers.models.auto.configuration_auto import model_type_to_module_name
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    name = MODEL_MAPPING_NAMES.get(model_type)
    if name is None:
        raise not_built(model_type, "is neither module:Class nor a model_type of transformers")
    title = name if isinstance(name, str) else name[0]
    if hasattr(transformers, title):
        return f"transformers:{title}"
    module = model_type_to_module_name(model_type)
    return f"transformers.models.{module}.modeling_{module}:{title}"


def library_config(cls: type[torch.nn.Module], config: dict[str, Any]) -> Any:
    """The transformers config object for a plain config dict, with eager attention and no cache."""
    made = cls.config_class.from_dict({k: v for k, v in config.items() if k not in _NOT_THE_LIBRARY})
    eager(made)
    return made


def eager(config: Any) -> None:
    """Choose, in a config and its sub-configs, the implementations whose source says what they compute."""
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    if getattr(config, "use_cache", None) is True:
        config.use_cache = False
    for name in getattr(config, "sub_configs", None) or {}:
        if getattr(config, name, None) is not None:
            eager(getattr(config, name))


def build(reference: str, config: dict[str, Any], seed: int) -> torch.nn.Module:
    """A float32 model on the CPU, in eval mode, with the library's default initialisation under `seed`.

    `config` is a library `config.json`, or `{"kwargs": {...}}` for a plain class. Where a constructor takes modules,
    `{"module": reference, "config": {...}}` stands for one.
    """
    cls = load_class(reference)
    torch.manual_seed(seed)
    try:
        if hasattr(cls, "config_class") and cls.config_class is not None:
            model = cls(library_config(cls, config))
        elif hasattr(cls, "from_config") and hasattr(cls, "config_name"):
            model = cls.from_config(with_modules({k: v for k, v in config.items() if k not in BOOKKEEPING}, seed))
        else:
            model = plain_model(cls, with_modules(plain_kwargs(reference, config), seed), seed)
    except PortError:
        raise
    except Exception as error:
        raise not_built(reference, f"its constructor failed: {type(error).__name__}: {error}") from error
    return model.float().eval().requires_grad_(False)


def plain_model(cls: type[torch.nn.Module], kwargs: dict[str, Any], seed: int) -> torch.nn.Module:
    """A plain class from values out of JSON, which has lists only: a class may insist on tuples.

    Once it has, it is given tuples at once.
    """
    if cls in WANTS_TUPLES:
        return cls(**tupled(kwargs))
    try:
        return cls(**kwargs)
    except Exception:
        tuples = tupled(kwargs)
        if tuples == kwargs:
            raise
        torch.manual_seed(seed)
        try:
            model = cls(**tuples)
            WANTS_TUPLES.add(cls)
            return model
        except Exception:
            pass
        raise


def tupled(value: Any) -> Any:
    """Lists as tuples, in dicts too."""
    if isinstance(value, dict):
        return {k: tupled(v) for k, v in value.items()}
    return tuple(tupled(v) for v in value) if isinstance(value, list) else value


def with_modules(value: Any, seed: int) -> Any:
    """The values of a config, with a model in place of each `{"module": reference, "config": {...}}`."""
    if isinstance(value, dict):
        if is_described_module(value):
            return build(value["module"], value["config"], seed)
        return {k: with_modules(v, seed) for k, v in value.items()}
    if not isinstance(value, list):
        return value
    # Each of several has weights of its own, or no comparison would notice when one stands for another.
    return [with_modules(v, seed + i) for i, v in enumerate(value)]


def plain_kwargs(reference: str, config: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments for a plain class: `config["kwargs"]`, and nothing else beside our own key."""
    extra = sorted(set(config) - {"kwargs", "portwright"})
    if extra:
        raise not_built(reference, f"unknown config keys {extra}", 'a plain class takes {"kwargs": {...}}')
    kwargs = config.get("kwargs", {})
    if not isinstance(kwargs, dict):
        raise not_built(reference, "config['kwargs'] is not an object")
    return kwargs


def saved_config(model: torch.nn.Module, config: dict[str, Any]) -> dict[str, Any]:
    """The config as the library itself completes it (defaults filled in), ready for JSON."""
    own = getattr(model, "config", None)
    if own is not None and hasattr(own, "to_dict"):
        return dict(own.to_dict())
    if own is not None and hasattr(own, "items"):
        described = {k: v for k, v in config.items() if holds_described_module(v)}  # as no library saves them
        return {k: v for k, v in own.items() if not k.startswith("_") or k == "_class_name"} | described
    return dict(config)
