"""Further inputs by the argument names that the field uses: for each name the forms that it takes, likeliest first."""

from __future__ import annotations

import re

import torch

from portwright.reference.forms import (
    Maker,
    audio,
    boxes,
    context,
    flat_patches,
    frames_of,
    grid,
    history,
    indices_below,
    latents,
    masked_text,
    mel,
    number,
    patches,
    per_row,
    picture,
    ragged,
    text_length,
    text_width,
    video,
    width,
)
from portwright.reference.named_inputs import MAKERS, randn

FORMS: dict[str, tuple[Maker, ...]] = {
    "inputs_embeds": (lambda m, s, g: randn(g, s.batch, s.length, width(m)),),
    "decoder_inputs_embeds": (lambda m, s, g: randn(g, s.batch, s.length, width(m)),),
    "bbox": (boxes,),
    "langs": (indices_below("n_langs"),),
    "pixel_values": (
        lambda m, s, g: picture(m, s, g, 32),
        lambda m, s, g: randn(g, s.batch, s.channels, 32, 32),
        flat_patches,
        lambda m, s, g: video(m, s, g, "frames", number(m, "num_frames", "frames_per_clip", default=2)),
        lambda m, s, g: video(m, s, g, "channels", number(m, "num_frames", "frames_per_clip", default=2)),
        lambda m, s, g: randn(g, s.batch, 6, s.channels * patches(m)[1] * patches(m)[2]),
        lambda m, s, g: randn(g, 6 * s.batch, s.channels, *patches(m)[1:3]),
        lambda m, s, g: picture(m, s, g, 64),
        lambda m, s, g: picture(m, s, g, 128),
        lambda m, s, g: randn(g, s.batch, s.channels, 224, 224),
        lambda m, s, g: flat_patches(m, s, g).unflatten(1, (s.channels, -1, patches(m)[2])),
        lambda m, s, g: randn(g, s.batch, 1, s.height, s.width),
    ),
    "pixel_values_videos": (
        lambda m, s, g: video(m, s, g, "frames", number(m, "num_frames", "frames_per_clip", default=2)),
        lambda m, s, g: flat_patches(m, s, g, 2),
    ),
    "image_grid_thw": (lambda m, s, g: grid(m, s),),
    "grid_thw": (lambda m, s, g: grid(m, s),),
    "grid_hws": (lambda m, s, g: grid(m, s)[:, 1:],),
    "image_grid_hws": (lambda m, s, g: grid(m, s)[:, 1:],),
    "image_grid_hw": (lambda m, s, g: grid(m, s)[:, 1:],),
    "video_grid_thw": (lambda m, s, g: grid(m, s, 2),),
    "target_sizes": (lambda m, s, g: grid(m, s)[:, 1:],),
    "merge_sizes": (lambda m, s, g: torch.full((s.batch,), patches(m)[3]),),
    "image_merge_sizes": (lambda m, s, g: torch.full((s.batch,), patches(m)[3]),),
    "pixel_mask": (lambda m, s, g: torch.ones(s.batch, s.height, s.width, dtype=torch.long),),
    "pixel_attention_mask": (lambda m, s, g: torch.ones(s.batch, 6, dtype=torch.long),),
    "spatial_shapes": (lambda m, s, g: torch.tensor([[2, 3]] * s.batch),),
    "image_sizes": (lambda m, s, g: torch.tensor([[s.height, s.width]] * s.batch),),
    "image_position_ids": (
        lambda m, s, g: torch.tensor([[x, y] for y in range(2) for x in range(3)]).expand(s.batch, 6, 2).contiguous(),
    ),
    "pixel_position_ids": (
        lambda m, s, g: torch.tensor([[x, y] for y in range(2) for x in range(3)]).expand(s.batch, 6, 2).contiguous(),
    ),
    "input_values": (
        audio((1,), 1024),
        audio((), 1024),
        audio((2,), 4096),
        lambda m, s, g: randn(g, s.batch, number(m, "max_length", default=64), mel(m)),
        lambda m, s, g: randn(g, s.batch, frames_of(s), mel(m)),
        lambda m, s, g: torch.randint(0, max(s.vocab, 1), (s.batch, s.length), generator=g),
        audio((), 16000),
    ),
    "input_features": (
        lambda m, s, g: randn(g, s.batch, frames_of(s), mel(m)),
        lambda m, s, g: randn(g, s.batch, mel(m), frames_of(s)),
        lambda m, s, g: randn(g, s.batch, 1, number(m, "spec_size", default=frames_of(s)), mel(m)),
        lambda m, s, g: randn(g, s.batch, mel(m), 3000),
        lambda m, s, g: randn(g, mel(m), frames_of(s)),
        lambda m, s, g: randn(g, s.batch, frames_of(s), 2 * mel(m)),
        audio((1,), 1024),
        audio((), 4096),
    ),
    "audio_mel": (lambda m, s, g: randn(g, s.batch, frames_of(s), mel(m)),),
    "audio_mel_mask": (lambda m, s, g: torch.zeros(s.batch, frames_of(s), dtype=torch.bool),),
    "input_features_mask": (
        lambda m, s, g: torch.ones(s.batch, frames_of(s), dtype=torch.long),
        lambda m, s, g: torch.ones(s.batch, frames_of(s), dtype=torch.bool),
    ),
    "feature_attention_mask": (lambda m, s, g: torch.ones(s.batch, frames_of(s), dtype=torch.long),),
    "feature_lens": (lambda m, s, g: torch.tensor([frames_of(s)]),),
    "padding_mask": (lambda m, s, g: torch.ones(s.batch, 1024 * (1 + s.variant % 2), dtype=torch.long),),
    "speech_input_ids": (MAKERS["input_ids"],),
    "audio_codes": (
        lambda m, s, g: torch.randint(
            0,
            number(m, "codebook_size", default=16),
            (s.batch, number(m, "num_quantizers", "num_codebooks", default=1), s.length),
            generator=g,
        ),
    ),
    "spectrogram": (lambda m, s, g: randn(g, s.batch, frames_of(s), mel(m)),),
    "past_values": (
        lambda m, s, g: randn(g, s.batch, history(m)),
        lambda m, s, g: randn(g, s.batch, history(m), number(m, "num_input_channels", "input_size", default=1)),
    ),
    "past_time_features": (lambda m, s, g: randn(g, s.batch, history(m), number(m, "num_time_features", default=1)),),
    "past_observed_mask": (lambda m, s, g: torch.ones(s.batch, history(m)),),
    "past_values_padding": (lambda m, s, g: torch.zeros(s.batch, history(m), dtype=torch.long),),
    "freq": (lambda m, s, g: torch.zeros(s.batch, 1, dtype=torch.long),),
    "states": (lambda m, s, g: randn(g, s.batch, s.length, number(m, "state_dim", default=8)),),
    "actions": (lambda m, s, g: randn(g, s.batch, s.length, number(m, "act_dim", default=4)),),
    "rewards": (lambda m, s, g: randn(g, s.batch, s.length, 1),),
    "returns_to_go": (lambda m, s, g: randn(g, s.batch, s.length, 1),),
    "timesteps": (lambda m, s, g: torch.arange(s.length).expand(s.batch, s.length).contiguous(),),
    "inputs": (lambda m, s, g: randn(g, s.batch, s.length, number(m, "d_model", default=32)),),
    "flattened_patches": (
        lambda m, s, g: torch.cat(
            [torch.ones(s.batch, 6, 2), randn(g, s.batch, 6, number(m, "patch_embed_hidden_size", default=32))], 2
        ),
    ),
    "visual_feats": (lambda m, s, g: randn(g, s.batch, 5, number(m, "visual_feat_dim", default=32)),),
    "visual_pos": (lambda m, s, g: torch.rand(s.batch, 5, number(m, "visual_pos_dim", default=4), generator=g),),
    "visual_embeds": (lambda m, s, g: randn(g, s.batch, 5, number(m, "visual_embedding_dim", default=32)),),
    "query_embeds": (lambda m, s, g: randn(g, s.batch, 5, width(m)),),
    "latents": (lambda m, s, g: randn(g, s.batch, width(m), s.length), latents),
    "noise_embeds": (lambda m, s, g: randn(g, s.batch, s.length, width(m)),),
    "task_inputs": (MAKERS["input_ids"],),
    # Denoisers and autoencoders.
    "sample": (
        lambda m, s, g: randn(g, s.batch, s.channels, 16, 32),
        lambda m, s, g: randn(g, s.batch, s.channels, 5, 16, 32),
        lambda m, s, g: randn(g, s.batch, s.channels, 64 * (1 + s.variant % 2)),
        lambda m, s, g: randn(g, s.batch, 3, 32, 64),
        lambda m, s, g: randn(g, s.batch, 3, 5, 32, 64),
        lambda m, s, g: randn(g, s.batch, 3, 9, 64, 64),
        lambda m, s, g: randn(g, s.batch, 5, s.channels, 16, 32),
        lambda m, s, g: randn(g, s.batch, 1, 2048),
        lambda m, s, g: randn(g, s.batch, 2, 4096),
        lambda m, s, g: randn(g, s.batch, s.channels, 32, 16),
    ),
    "hidden_states": (
        lambda m, s, g: randn(g, s.batch, s.channels, s.frames, 8, 16),
        lambda m, s, g: randn(g, s.batch, s.channels, 8, 16),
        lambda m, s, g: randn(g, s.batch, s.frames, s.channels, 8, 16),
        lambda m, s, g: randn(g, s.batch, 24, s.channels),
        flat_patches,
        lambda m, s, g: randn(g, s.batch, s.channels, 4, 8, 16),
        lambda m, s, g: randn(g, s.batch, s.channels, 5, 8, 16),
        lambda m, s, g: randn(g, s.batch, 24, width(m)),
        lambda m, s, g: randn(g, s.batch, s.channels, 16, 16),
        lambda m, s, g: randn(g, s.batch, s.channels, 32),
        lambda m, s, g: randn(g, 1, 24, width(m)),
    ),
    "timestep": (
        lambda m, s, g: torch.rand(s.batch, generator=g),
        lambda m, s, g: torch.randint(1, 1000, (1,), generator=g),
        lambda m, s, g: torch.randint(1, 1000, (s.batch, s.frames), generator=g),
    ),
    "encoder_hidden_states": (
        context,
        lambda m, s, g: randn(g, s.batch, text_length(s), width(m)),
        lambda m, s, g: randn(g, s.batch, text_length(s), 32),
        lambda m, s, g: randn(g, s.batch, 1, text_length(s), text_width(m)),
    ),
    "encoder_attention_mask": (masked_text, lambda m, s, g: masked_text(m, s, g).bool()),
    "encoder_hidden_states_mask": (masked_text, lambda m, s, g: masked_text(m, s, g).bool()),
    "text_attention_mask": (masked_text, lambda m, s, g: masked_text(m, s, g).bool()),
    "pooled_projections": (
        lambda m, s, g: randn(
            g,
            s.batch,
            number(m, "pooled_projection_dim", "pooled_embed_dim", "in_text_dim2", "text_embed_2_dim", default=32),
        ),
    ),
    "encoder_hidden_states_image": (
        lambda m, s, g: randn(g, s.batch, 5, number(m, "image_dim", "image_embed_dim", default=32)),
    ),
    "encoder_hidden_states_t5": (
        lambda m, s, g: randn(
            g, s.batch, number(m, "text_len_t5", default=9), number(m, "cross_attention_dim_t5", default=32)
        ),
    ),
    "text_embedding_mask": (lambda m, s, g: ragged(s.batch, number(m, "text_len", default=text_length(s))),),
    "text_embedding_mask_t5": (lambda m, s, g: ragged(s.batch, number(m, "text_len_t5", default=9)),),
    "controlnet_cond": (
        lambda m, s, g: randn(g, s.batch, number(m, "conditioning_channels", default=3), 8 * s.height, 8 * s.width),
        lambda m, s, g: randn(g, s.batch, number(m, "conditioning_channels", default=3), 64, 128),
        latents,
        lambda m, s, g: randn(g, s.batch, s.height * s.width, s.channels),
        lambda m, s, g: randn(g, s.batch, 24, s.channels),
    ),
    "class_labels": (
        lambda m, s, g: torch.randint(
            0,
            max(number(m, "num_class_embeds", "num_embeds_ada_norm", "num_classes", default=10), 1),
            (s.batch,),
            generator=g,
        ),
    ),
    "r_timestep": (lambda m, s, g: torch.rand(s.batch, generator=g),),
    "timestep_r": (lambda m, s, g: torch.rand(s.batch, generator=g),),
    "timestep_ratio": (lambda m, s, g: torch.rand(s.batch, generator=g),),
    "target_size": (per_row(64, 128),),
    "original_size": (per_row(64, 128),),
    "crop_coords": (per_row(0, 0),),
    "fps": (lambda m, s, g: torch.full((s.batch,), 8),),
    "added_time_ids": (lambda m, s, g: torch.tensor([[6.0, 127.0, 0.02]] * s.batch),),
    "image_latents": (lambda m, s, g: randn(g, s.batch, number(m, "in_channels", default=4), s.frames, 8, 16),),
    "image_embeds": (
        lambda m, s, g: randn(
            g, s.batch, 5, number(m, "image_embed_dim", "image_proj_dim", "clip_img_dim", default=32)
        ),
    ),
    "proj_embedding": (lambda m, s, g: randn(g, s.batch, number(m, "embedding_dim", default=32)),),
    "text_hidden_states": (context,),
    "cap_feats": (context,),
    "text_bth": (context,),
    "text_lens": (lambda m, s, g: masked_text(m, s, g).sum(1),),
    "mel": (lambda m, s, g: randn(g, s.batch, mel(m), frames_of(s)),),
    "x": (latents, lambda m, s, g: randn(g, s.batch, 3, 64, 128), lambda m, s, g: randn(g, s.batch, 5, width(m))),
    "z": (latents, lambda m, s, g: randn(g, s.batch, s.channels, 3, 8, 8)),
}

# Optional arguments without which some models do not run, in the order in which they are tried.
ENABLING = (
    "decoder_input_ids",
    "pixel_values",
    "input_ids",
    "encoder_hidden_states",
    "attention_mask",
    "decoder_inputs_embeds",
    "inputs_embeds",
    "bbox",
    "image_grid_thw",
    "input_features",
    "input_values",
    "input_features_mask",
    "feature_attention_mask",
    "pixel_values_videos",
    "encoder_attention_mask",
    "pooled_projections",
    "timestep",
    "class_labels",
    "image_sizes",
    "image_position_ids",
    "pixel_position_ids",
    "target_sizes",
    "pixel_mask",
    "padding_mask",
    "token_type_ids",
    "visual_feats",
    "visual_pos",
    "past_observed_mask",
    "past_time_features",
    "timestep_r",
    "guidance",
    "img_ids",
    "txt_ids",
    "text_embedding_mask",
    "encoder_hidden_states_t5",
    "text_embedding_mask_t5",
    "hidden_states",
    "langs",
    "lengths",
    "audio_codes",
    "fps",
)


def forms(name: str) -> tuple[Maker, ...]:
    """The makers of an argument, the likeliest first; by the end of the name where the whole is not known."""
    known: tuple[Maker, ...] = (*((MAKERS[name],) if name in MAKERS else ()), *FORMS.get(name, ()))
    if known:
        return known
    if re.search(r"input_ids$|_tokens$|token_ids?$", name):
        return (MAKERS["input_ids"],)
    if name.endswith("attention_mask") or name.endswith("_mask"):
        return (MAKERS["attention_mask"], masked_text, lambda m, s, g: masked_text(m, s, g).bool())
    if name.endswith("pixel_values"):
        return FORMS["pixel_values"]
    if name.endswith(("hidden_states", "embeds", "states")):
        return FORMS["encoder_hidden_states"]
    if "timestep" in name:
        return FORMS["timestep"]
    if name.endswith("latents"):
        return FORMS["hidden_states"]
    return ()
