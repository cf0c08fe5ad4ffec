"""Constructors by torch base class: the MLX layer, and which arguments it takes under which name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Constructor:
    """A torch layer's constructor: its parameters in order, and what of them the MLX layer is given."""

    parameters: str  # torch's, in order
    layer: str
    positional: str = ""  # given by position, in this order
    keywords: dict[str, str] = field(default_factory=dict)  # torch's name -> MLX's
    defaults: dict[str, Any] = field(default_factory=dict)  # torch's values that are MLX's default too
    fixed: dict[str, Any] = field(default_factory=dict)  # always given
    refused: dict[str, Any] = field(default_factory=dict)  # any other value than this is a hole
    channels_last: bool = False  # the MLX layer wants its channel axis last
    snippet: str = ""  # the text that the port carries for it


CONV = "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode"
CONV_KEYWORDS = {k: k for k in ("stride", "padding", "dilation", "groups", "bias")}
CONV_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
CONV_REFUSED = {"padding_mode": "zeros"}
POOLING = {"Max": "dilation return_indices ceil_mode", "Avg": "ceil_mode count_include_pad divisor_override"}
TRANSPOSED = "in_channels out_channels kernel_size stride padding output_padding groups bias dilation padding_mode"


def convolution(dims: int) -> Constructor:
    return Constructor(
        CONV,
        f"nn.Conv{dims}d",
        "in_channels out_channels kernel_size",
        CONV_KEYWORDS,
        CONV_DEFAULTS,
        refused=CONV_REFUSED,
        channels_last=True,
    )


def transposed(dims: int) -> Constructor:
    keywords = {k: k for k in ("stride", "padding", "dilation", "output_padding", "bias")}
    defaults = {**CONV_DEFAULTS, "output_padding": 0}
    return Constructor(
        TRANSPOSED,
        f"nn.ConvTranspose{dims}d",
        "in_channels out_channels kernel_size",
        keywords,
        defaults,
        refused={"padding_mode": "zeros", "groups": 1},
        channels_last=True,
    )


def pooling(dims: int, kind: str) -> Constructor:
    return Constructor(
        f"kernel_size stride padding {POOLING[kind]}",
        f"nn.{kind}Pool{dims}d",
        "kernel_size",
        {"stride": "stride", "padding": "padding"},
        {"stride": None, "padding": 0},
        refused={
            "dilation": 1,
            "return_indices": False,
            "ceil_mode": False,
            "count_include_pad": True,
            "divisor_override": None,
        },
        channels_last=True,
    )


BATCH_NORM = Constructor(
    "num_features eps momentum affine track_running_stats",
    "nn.BatchNorm",
    "num_features",
    {"eps": "eps", "affine": "affine"},
    {"eps": 1e-05, "affine": True},
    refused={"track_running_stats": True},
    channels_last=True,
)


def recurrent(kind: str) -> Constructor:
    return Constructor(
        "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size",
        kind,
        "input_size hidden_size",
        {k: k for k in ("num_layers", "bias", "batch_first", "bidirectional")},
        {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False},
        refused={"proj_size": 0},
        snippet=kind,
    )


CONSTRUCTORS: dict[str, Constructor] = {
    "LSTM": recurrent("LSTM"),
    "GRU": recurrent("GRU"),
    "MultiheadAttention": Constructor(
        "embed_dim num_heads dropout bias add_bias_kv add_zero_attn kdim vdim batch_first",
        "MultiheadAttention",
        "embed_dim num_heads",
        {"bias": "bias", "batch_first": "batch_first"},
        {"bias": True, "batch_first": False},
        refused={"add_bias_kv": False, "add_zero_attn": False, "kdim": None, "vdim": None},
        snippet="MultiheadAttention",
    ),
    "Linear": Constructor(
        "in_features out_features bias", "nn.Linear", "in_features out_features", {"bias": "bias"}, {"bias": True}
    ),
    "Embedding": Constructor(
        "num_embeddings embedding_dim padding_idx max_norm",
        "nn.Embedding",
        "num_embeddings embedding_dim",
        refused={"max_norm": None},
    ),
    "LayerNorm": Constructor(
        "normalized_shape eps elementwise_affine bias",
        "nn.LayerNorm",
        "normalized_shape",
        {"eps": "eps", "elementwise_affine": "affine", "bias": "bias"},
        {"eps": 1e-05, "elementwise_affine": True, "bias": True},
    ),
    "RMSNorm": Constructor(
        "normalized_shape eps elementwise_affine",
        "nn.RMSNorm",
        "normalized_shape",
        {"eps": "eps"},
        refused={"elementwise_affine": True},
    ),
    "RMSNorm without weight": Constructor(
        "normalized_shape eps elementwise_affine",
        "PlainRMSNorm",
        "normalized_shape",
        {"eps": "eps"},
        refused={"elementwise_affine": False},
        snippet="PlainRMSNorm",
    ),
    "GroupNorm": Constructor(
        "num_groups num_channels eps affine",
        "nn.GroupNorm",
        "num_groups num_channels",
        {"eps": "eps", "affine": "affine"},
        {"eps": 1e-05, "affine": True},
        fixed={"pytorch_compatible": True},
        channels_last=True,
    ),
    "Upsample": Constructor(
        "size scale_factor mode align_corners",
        "nn.Upsample",
        keywords={"scale_factor": "scale_factor", "mode": "mode"},
        defaults={"mode": "nearest"},
        refused={"size": None, "align_corners": None},
        channels_last=True,
    ),
    "ZeroPad2d": Constructor("padding", "ZeroPad2d", "padding", channels_last=True, snippet="ZeroPad2d"),
    "BatchNorm1d": BATCH_NORM,
    "BatchNorm2d": BATCH_NORM,
    "Conv1d": convolution(1),
    "Conv2d": convolution(2),
    "Conv3d": convolution(3),
    "ConvTranspose1d": transposed(1),
    "ConvTranspose2d": transposed(2),
    "ConvTranspose3d": transposed(3),
    "MaxPool1d": pooling(1, "Max"),
    "MaxPool2d": pooling(2, "Max"),
    "MaxPool3d": pooling(3, "Max"),
    "AvgPool1d": pooling(1, "Avg"),
    "AvgPool2d": pooling(2, "Avg"),
    "AvgPool3d": pooling(3, "Avg"),
    "AvgPool2d over the edge": Constructor(
        "kernel_size stride padding ceil_mode count_include_pad divisor_override",
        "CeilAvgPool2d",
        "kernel_size",
        {"stride": "stride"},
        {"stride": None},
        refused={"padding": 0, "ceil_mode": True, "divisor_override": None},
        channels_last=True,
        snippet="CeilAvgPool2d",
    ),
}

# Layers that do nothing at inference: a call of one is its argument.
TRANSPARENT = frozenset({"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "Identity"})
CONVOLUTIONS = frozenset({"Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"})
TRANSPOSED_CONVOLUTIONS = frozenset({"ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"})
