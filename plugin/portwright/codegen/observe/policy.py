"""Which functions are rewritten and which are leaves: data, keyed by packages of the libraries' own plumbing."""

from __future__ import annotations

import sys
import types

# Packages whose functions are called, never rewritten: each needs a row in `translate`, or is folded.
LEAF_PACKAGES = (
    "torch.",
    "transformers.utils",
    "transformers.modeling_utils",
    "transformers.cache_utils",
    "transformers.masking_utils",
    "transformers.generation",
    "transformers.configuration_utils",
    "transformers.modeling_layers",
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
    return function.__name__ not in LEAF_FUNCTIONS and "<locals>" not in function.__qualname__
