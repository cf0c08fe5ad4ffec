"""Which functions are rewritten and which are leaves: data, keyed by packages of the libraries' own plumbing."""

from __future__ import annotations

import sys
import types
from typing import Any

# Packages whose functions are called, never rewritten: each needs a row in `translate`, or is folded.
LEAF_PACKAGES = (
    "torch.",
    "transformers.utils",
    "transformers.modeling_utils",
    "transformers.cache_utils",
    "transformers.masking_utils",
    "transformers.generation",
    "transformers.configuration_utils",
    "transformers.integrations",
    "transformers.activations",
    "transformers.modeling_outputs",
    "transformers.modeling_flash",
    "transformers.initialization",
    "transformers.conversion",
    "transformers.core_model",
    "diffusers.utils",
    "diffusers.configuration_utils",
    "diffusers.models.modeling_utils",
    "diffusers.models.attention_dispatch",
    "diffusers.loaders",
    "diffusers.models.modeling_outputs",
    "diffusers.models.cache_utils",
    "diffusers.hooks",
    "diffusers.models._modeling_parallel",
    "diffusers.image_processor",
)
LEAF_TOPS = frozenset({"torch", "numpy", "einops", "packaging", "huggingface_hub", "safetensors", "portwright"})
# Functions of rewritten packages that only set the library up; they change no number.
LEAF_FUNCTIONS = frozenset(
    {
        "get_activation",
        "post_init",
        "register_to_config",
        "set_default_attn_processor",
        "set_attn_processor",
        "set_attention_backend",
        "set_use_memory_efficient_attention_xformers",
        "apply_chunking_to_forward",
        "standardize_rope_params",
    }
)


def is_rewritten(function: types.FunctionType) -> bool:
    """Whether a function's own source is to be ported (else calls of it are leaves)."""
    module = getattr(function, "__module__", None) or ""
    top = module.partition(".")[0]
    if top in LEAF_TOPS or (top in sys.stdlib_module_names and top != "__main__"):
        return False
    if f"{module}.".startswith(LEAF_PACKAGES) or module.startswith(LEAF_PACKAGES):
        return False
    is_own = "<locals>" not in function.__qualname__ or bool(global_name(function))
    return function.__name__ not in LEAF_FUNCTIONS and is_own


def enclosed(function: types.FunctionType) -> dict[str, Any]:
    """The values of a function's free variables; those not set yet are left out."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def global_name(function: types.FunctionType) -> str:
    """The name that a module gives a function that another made for it, which holds plain values only; else "".

    `to_pair = repeated(2)` is such a function: the port has it under that name, with 2 written out.
    """
    if "<locals>" not in function.__qualname__:
        return ""
    held = enclosed(function)
    plain = len(held) == len(function.__code__.co_freevars)
    plain = plain and all(v is None or isinstance(v, (bool, int, float, str)) for v in held.values())
    return next((k for k, v in function.__globals__.items() if v is function), "") if plain else ""
