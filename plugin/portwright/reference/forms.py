"""Shapes that inputs of models take: text states, pictures, videos, patches, boxes, sound; sized by the config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from portwright.reference.named_inputs import Sizes, field, pair, randn

Maker = Callable[[torch.nn.Module, Sizes, torch.Generator], torch.Tensor | None]
TEXT = 7  # tokens of a conditioning text, plus the probe's variant

TEXT_WIDTHS = (
    "cross_attention_dim",
    "joint_attention_dim",
    "caption_channels",
    "text_dim",
    "text_embed_dim",
    "encoder_hid_dim",
    "cap_feat_dim",
    "text_hidden_dim",
    "context_in_dim",
    "in_text_dim",
    "text_in_dim",
    "text_encoder_dim",
    "encoder_hidden_size",
    "llm_features_dim",
    "condition_dim",
    "txt_in_features",
    "conditioning_dim",
    "text_states_dim",
    "cond_token_dim",
    "hidden_size",
)


def config_of(model: torch.nn.Module) -> Any:
    return getattr(model, "config", None)


def number(model: torch.nn.Module, *names: str, default: int = 0) -> int:
    """An integer field of the config, the first entry where it is a list."""
    value = field(config_of(model), *names, default=default)
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return int(value) if isinstance(value, (int, float)) else default


def width(model: torch.nn.Module) -> int:
    return number(model, "hidden_size", "d_model", "n_embd", "dim", "embed_dim", "hidden_dim", default=32)


def text_width(model: torch.nn.Module) -> int:
    return number(model, *TEXT_WIDTHS, default=32)


def text_length(s: Sizes) -> int:
    return TEXT + s.variant % 3


def ragged(batch: int, length: int) -> torch.Tensor:
    """A right-padded mask: the first row full, each further one a token shorter."""
    mask = torch.ones(batch, length, dtype=torch.long)
    for row in range(1, batch):
        mask[row, max(1, length - row) :] = 0
    return mask


def patches(model: torch.nn.Module) -> tuple[int, int, int, int]:
    """Frames, height and width of a patch, and how many patches are merged along a side."""
    patch = pair(field(config_of(model), "patch_size", default=4) or 4)
    frames = number(model, "temporal_patch_size", "patch_temporal", default=1)
    merge = number(model, "spatial_merge_size", "merge_size", "merge_kernel_size", default=1)
    return frames, patch[0], patch[1], max(merge, 1)


def grid(model: torch.nn.Module, s: Sizes, frames: int = 1) -> torch.Tensor:
    """Frames, rows and columns of patches of each picture: (pictures, 3)."""
    merge = patches(model)[3]
    return torch.tensor([[frames, merge * (2 + s.variant % 2), merge * (3 + n)] for n in range(s.batch)])


def flat_patches(model: torch.nn.Module, s: Sizes, g: torch.Generator, frames: int = 1) -> torch.Tensor:
    """The patches of all pictures in one row: (patches, channels * patch)."""
    time, high, wide, _ = patches(model)
    total = int(grid(model, s, frames).prod(1).sum())
    return randn(g, total, s.channels * time * high * wide)


def picture(model: torch.nn.Module, s: Sizes, g: torch.Generator, step: int) -> torch.Tensor:
    """A picture whose sides are unequal multiples of `step`."""
    return randn(g, s.batch, s.channels, step * (1 + s.variant % 2), step * (2 + s.variant % 2))


def video(model: torch.nn.Module, s: Sizes, g: torch.Generator, first: str, frames: int) -> torch.Tensor:
    """A video, (batch, frames, channels, height, width) or with the channels first."""
    shape = (frames, s.channels) if first == "frames" else (s.channels, frames)
    return randn(g, s.batch, *shape, s.height, s.width)


def mel(model: torch.nn.Module) -> int:
    return number(
        model, "num_mel_bins", "n_mel_bins", "feature_size", "input_feat_size", "input_dim", "num_mels", default=80
    )


def frames_of(s: Sizes) -> int:
    return 64 + 16 * (s.variant % 3)


def boxes(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """Left, top, right, bottom of each token's box, as whole numbers."""
    limit = number(model, "max_2d_position_embeddings", default=64) - 1
    corners = torch.randint(0, max(limit // 2, 1), (s.batch, s.length, 4), generator=g)
    corners[..., 2:] += corners[..., :2]
    return corners.clamp(max=limit)


def indices_below(limit_field: str, default: int = 2) -> Maker:
    return lambda m, s, g: torch.randint(
        0, max(number(m, limit_field, default=default), 1), (s.batch, s.length), generator=g
    )


def per_row(*values: float) -> Maker:
    return lambda m, s, g: torch.tensor([values] * s.batch, dtype=torch.float32)


def history(m: torch.nn.Module) -> int:
    lags = field(config_of(m), "lags_sequence", default=None)
    return number(m, "context_length", default=32) + (max(lags) if isinstance(lags, (list, tuple)) and lags else 0)


def context(m: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """A conditioning text's states."""
    return randn(g, s.batch, text_length(s), text_width(m))


def masked_text(m: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    return ragged(s.batch, text_length(s))


def latents(m: torch.nn.Module, s: Sizes, g: torch.Generator, channels: int | None = None) -> torch.Tensor:
    return randn(g, s.batch, channels or s.channels, s.height, s.width)


def audio(channels: tuple[int, ...], length: int) -> Maker:
    return lambda m, s, g: randn(g, s.batch, *channels, length * (1 + s.variant % 2))
