"""Inputs by the argument names that the field uses, sized by the fields of the config."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

OPTIONAL = (
    "attention_mask",
    "token_type_ids",
    "position_ids",
    "encoder_hidden_states",
    "encoder_attention_mask",
    "decoder_input_ids",
    "decoder_attention_mask",
    "guidance",
    "pooled_projections",
)


@dataclass(frozen=True)
class Sizes:
    """What an input's shape depends on."""

    batch: int
    length: int
    vocab: int
    types: int
    positions: int  # the longest sequence, 0 when unbounded
    height: int
    width: int
    frames: int
    channels: int
    offset: int  # the first position id (a padding index shifts it in some models)
    variant: int  # counts the probes, so that masks and pictures differ between them


def field(config: Any, *names: str, default: Any = None) -> Any:
    """The first of these config fields that is set; looked for in a text or vision sub-config too."""
    nested = [getattr(config, n, None) for n in ("text_config", "vision_config", "encoder", "encoder_config")]
    for holder in [config, *nested]:
        if holder is None:
            continue
        for name in names:
            value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
            if value is not None:
                return value
    return default


def pair(value: Any) -> tuple[int, int]:
    """An int or a (height, width) pair as a pair."""
    if isinstance(value, (list, tuple)):
        return int(value[0]), int(value[-1])
    return int(value), int(value)


def sizes_of(model: torch.nn.Module, length: int, batch: int, variant: int) -> Sizes:
    """The sizes of one probe."""
    config = getattr(model, "config", None)
    patch = pair(field(config, "patch_size", default=1) or 1)
    image = field(config, "image_size")
    if image is not None:  # learned position tables fix the picture's size
        height, width = pair(image)
    else:
        stages = field(config, "block_out_channels", default=(1,)) or (1,)
        step = 2 ** max(len(stages) - 1, 0) if isinstance(stages, (list, tuple)) else 1
        step = step if step > 1 else 2
        height = patch[0] * step * (3 + variant % 3)
        width = patch[1] * step * (2 + variant % 3)
    positions = field(config, "max_position_embeddings", "n_positions", "max_sequence_length", "n_ctx", default=0)
    positions = max(positions, 0) if isinstance(positions, int) else 0  # -1 stands for no bound too
    return Sizes(
        batch=batch,
        length=min(length, positions - 2) if positions > 4 and length < positions else min(length, positions or length),
        vocab=int(field(config, "vocab_size", default=16)),
        types=int(field(config, "type_vocab_size", default=1) or 1),
        positions=positions,
        height=height,
        width=width,
        frames=3,
        channels=int(field(config, "num_channels", "in_channels", default=3)),
        offset=0,
        variant=variant,
    )


def randn(g: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=g)


def input_ids(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """Token ids that avoid the specials at the vocabulary's start, ending in end-of-text where that is one."""
    low = min(5, s.vocab - 1)
    ids = torch.randint(low, s.vocab, (s.batch, s.length), generator=g)
    eos = field(getattr(model, "config", None), "eos_token_id")
    if isinstance(eos, int) and 0 <= eos < s.vocab:
        for row in range(s.batch):
            ids[row, s.length - 1 - row % 3 if s.length > 3 else -1] = eos
    return ids


def attention_mask(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """Right-padded rows of different lengths; the first row is full."""
    mask = torch.ones(s.batch, s.length, dtype=torch.long)
    for row in range(1, s.batch):
        mask[row, max(2, s.length - row - 1 - s.variant % 2) :] = 0
    return mask


def position_ids(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """Positions that start at one, so that ignoring them shows."""
    limit = s.positions or s.length + 2
    return ((torch.arange(s.length) + 1) % limit).expand(s.batch, s.length).contiguous()


def pixel_values(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    return randn(g, s.batch, s.channels, s.height, s.width)


def latent(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """`sample` or `hidden_states`: a picture, a video for 3-D patches, or a packed sequence."""
    config = getattr(model, "config", None)
    if any(isinstance(m, torch.nn.Conv3d) for m in model.modules()):
        return randn(g, s.batch, s.channels, s.frames, s.height, s.width)
    if any(isinstance(m, torch.nn.Conv2d) for m in model.modules()):
        return randn(g, s.batch, s.channels, s.height, s.width)
    width = field(config, "in_channels", "hidden_size", "d_model")
    return randn(g, s.batch, s.height * s.width, int(width))


def encoder_hidden_states(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor | None:
    width = field(
        getattr(model, "config", None), "cross_attention_dim", "joint_attention_dim", "caption_channels", "text_dim"
    )
    if isinstance(width, (list, tuple)):
        width = width[0]
    return randn(g, s.batch, 7 + s.variant % 3, int(width)) if isinstance(width, int) else None


def timestep(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """Whole steps; fractions for flow matching on packed tokens, which multiplies them by 1000 itself.

    Steps times 1000 would make the sine's argument 1e6, where float32 has no digits left to compare.
    """
    if "img_ids" in inspect.signature(inspect.unwrap(type(model).forward)).parameters:
        return torch.rand(s.batch, generator=g)
    return torch.randint(1, 1000, (s.batch,), generator=g)


def token_grid(model: torch.nn.Module, s: Sizes, g: torch.Generator) -> torch.Tensor:
    """Row and column of each packed picture token, as (tokens, axes)."""
    axes = len(field(getattr(model, "config", None), "axes_dims_rope", "axes_dim", default=(1, 1, 1)))
    ids = torch.zeros(s.height * s.width, axes)
    index = torch.arange(s.height * s.width)
    ids[:, 1], ids[:, 2] = (index // s.width).float(), (index % s.width).float()
    return ids


MAKERS: dict[str, Callable[[torch.nn.Module, Sizes, torch.Generator], torch.Tensor | None]] = {
    "input_ids": input_ids,
    "decoder_input_ids": input_ids,
    "attention_mask": attention_mask,
    "decoder_attention_mask": attention_mask,
    "token_type_ids": lambda m, s, g: torch.randint(0, s.types, (s.batch, s.length), generator=g),
    "position_ids": position_ids,
    "pixel_values": pixel_values,
    "sample": latent,
    "hidden_states": latent,
    "timestep": timestep,
    "encoder_hidden_states": encoder_hidden_states,
    "encoder_attention_mask": lambda m, s, g: None,
    "pooled_projections": lambda m, s, g: randn(
        g, s.batch, int(field(getattr(m, "config", None), "pooled_projection_dim", default=0))
    ),
    "img_ids": token_grid,
    "txt_ids": lambda m, s, g: torch.zeros(
        7 + s.variant % 3, len(field(getattr(m, "config", None), "axes_dims_rope", "axes_dim", default=(1, 1, 1)))
    ),
    "guidance": lambda m, s, g: 1 + 3 * torch.rand(s.batch, generator=g),
    "input_values": lambda m, s, g: randn(g, s.batch, 997 + 130 * (s.variant % 3)),
    "input_features": lambda m, s, g: randn(
        g,
        s.batch,
        int(field(getattr(m, "config", None), "num_mel_bins", default=80)),
        2 * int(field(getattr(m, "config", None), "max_source_positions", default=50)),
    ),
}


def optional_inputs(
    model: torch.nn.Module, names: Mapping[str, inspect.Parameter]
) -> tuple[list[str] | None, list[str]]:
    """Which arguments a probe must give, and which it may; (None, []) when a required one is not known here."""
    main = getattr(model, "main_input_name", None)
    config = getattr(model, "config", None)
    if config is None:
        return None, []
    required = [k for k, p in names.items() if p.default is p.empty]
    if isinstance(main, str) and main in names and main not in required:
        required.insert(0, main)
    if "decoder_input_ids" in names and getattr(config, "is_encoder_decoder", False):
        required.append("decoder_input_ids")
    if "encoder_hidden_states" in names and field(config, "joint_attention_dim", "text_dim") is not None:
        required += [n for n in ("encoder_hidden_states",) if n not in required]
    for name, wanted in (
        ("pooled_projections", field(config, "pooled_projection_dim") is not None),
        ("timestep", "timestep" in names),
        ("img_ids", "img_ids" in names),
        ("txt_ids", "txt_ids" in names),
        ("guidance", bool(field(config, "guidance_embeds", default=False))),
    ):
        if wanted and name in names and name not in required:
            required.append(name)
    if any(name not in MAKERS for name in required):
        return None, []
    optional = [
        n
        for n in OPTIONAL
        if n in names and n not in required and n in MAKERS and not n.startswith("encoder_") and n != "guidance"
    ]
    if field(config, "type_vocab_size", default=0) in (0, None) and "token_type_ids" in optional:
        optional.remove("token_type_ids")
    if "input_ids" not in required:
        optional = [n for n in optional if n != "attention_mask" and n != "position_ids"]
    return required, optional


def make_input(model: torch.nn.Module, name: str, sizes: Sizes, g: torch.Generator) -> torch.Tensor | None:
    """The tensor for one argument, or None when nothing is known about it."""
    maker = MAKERS.get(name)
    try:
        return maker(model, sizes, g) if maker is not None else None
    except (TypeError, ValueError):
        return None
