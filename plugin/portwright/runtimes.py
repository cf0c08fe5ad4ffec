"""What the choice of a runtime in port.toml changes outside codegen. Standard library only."""

from __future__ import annotations

# mlx-lm gives a model tokens (or their embeddings) and a cache, which says what is padded and where each row stands.
MLX_LM_LEAVES_OUT = ("attention_mask", "position_ids", "inputs_embeds")
# What mlx-lm calls the arguments of a model, by what the library calls them.
MLX_LM_ARGUMENTS = {"input_ids": "inputs", "inputs_embeds": "input_embeddings", "past_key_values": "cache"}


def left_out(runtime: str) -> dict[str, None]:
    """The reference's optional arguments that a port of this runtime has no place for, as overrides of its probes."""
    return dict.fromkeys(MLX_LM_LEAVES_OUT) if runtime == "mlx-lm" else {}
