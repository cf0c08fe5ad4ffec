"""Constructors by torch base class: the MLX layer, and which arguments it takes under which name."""

from __future__ import annotations

import dataclasses
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
    elementwise: bool = False  # takes every layout
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


TRANSPOSED_1D = transposed(1)


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

INSTANCE_NORM = Constructor(
    "num_features eps momentum affine track_running_stats",
    "nn.InstanceNorm",
    "num_features",
    {"eps": "eps", "affine": "affine"},
    {"eps": 1e-05, "affine": False},
    refused={"track_running_stats": False},
    channels_last=True,
)


def recurrent(kind: str) -> Constructor:
    return Constructor(
        "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size nonlinearity",
        kind,
        "input_size hidden_size",
        {k: k for k in ("num_layers", "bias", "batch_first", "bidirectional")},
        {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False},
        refused={"proj_size": 0, "nonlinearity": "tanh"},
        snippet=kind,
    )


def recurrent_cell(kind: str) -> Constructor:
    return Constructor(
        "input_size hidden_size bias nonlinearity",
        kind,
        "input_size hidden_size",
        {"bias": "bias"},
        {"bias": True},
        refused={"nonlinearity": "tanh"},
        snippet=kind,
    )


TRANSFORMER_LAYER = "d_model nhead dim_feedforward dropout activation layer_norm_eps batch_first norm_first bias"
TRANSFORMER_DEFAULTS = {
    "dim_feedforward": 2048,
    "activation": "relu",
    "layer_norm_eps": 1e-5,
    "batch_first": False,
    "norm_first": False,
    "bias": True,
}


def transformer_layer(kind: str) -> Constructor:
    keywords = {k: k for k in TRANSFORMER_DEFAULTS}
    return Constructor(TRANSFORMER_LAYER, kind, "d_model nhead", keywords, TRANSFORMER_DEFAULTS, snippet=kind)


def transformer_stack(layer: str, ignored: str) -> Constructor:
    given = f"{layer} num_layers"
    names = f"{given} norm {ignored}"
    return Constructor(names, "TransformerStack", given, {"norm": "norm"}, {"norm": None}, snippet="TransformerStack")


CONSTRUCTORS: dict[str, Constructor] = {
    "LSTM": recurrent("LSTM"),
    "GRU": recurrent("GRU"),
    "RNN": recurrent("RNN"),
    "TransformerEncoderLayer": transformer_layer("TransformerEncoderLayer"),
    "TransformerDecoderLayer": transformer_layer("TransformerDecoderLayer"),
    "TransformerEncoder": transformer_stack("encoder_layer", "enable_nested_tensor mask_check"),
    "TransformerDecoder": transformer_stack("decoder_layer", ""),
    **{f"{kind}Cell": recurrent_cell(f"{kind}Cell") for kind in ("LSTM", "GRU", "RNN")},
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
        "PreciseGroupNorm",
        "num_groups num_channels",
        {"eps": "eps", "affine": "affine"},
        {"eps": 1e-05, "affine": True},
        channels_last=True,
        snippet="PreciseGroupNorm",
    ),
    "Upsample": Constructor(
        "size scale_factor mode align_corners",
        "nn.Upsample",
        keywords={"scale_factor": "scale_factor", "mode": "mode"},
        defaults={"mode": "nearest"},
        refused={"size": None, "align_corners": None},
        channels_last=True,
    ),
    "LeakyReLU": Constructor("negative_slope inplace", "nn.LeakyReLU", "negative_slope", elementwise=True),
    "ELU": Constructor("alpha inplace", "nn.ELU", "alpha", elementwise=True),
    "CELU": Constructor("alpha inplace", "nn.CELU", "alpha", elementwise=True),
    "PReLU": Constructor("num_parameters init", "nn.PReLU", "num_parameters", channels_last=True),
    "InstanceNorm1d": INSTANCE_NORM,
    "InstanceNorm2d": INSTANCE_NORM,
    "InstanceNorm3d": INSTANCE_NORM,
    "BatchNorm1d": BATCH_NORM,
    "BatchNorm2d": BATCH_NORM,
    "BatchNorm3d": dataclasses.replace(BATCH_NORM, layer="BatchNorm3d", snippet="BatchNorm3d"),
    "Conv1d": convolution(1),
    "Conv2d": convolution(2),
    "Conv3d": dataclasses.replace(  # MLX's has no groups
        convolution(3),
        keywords={k: v for k, v in CONV_KEYWORDS.items() if k != "groups"},
        refused={**CONV_REFUSED, "groups": 1},
    ),
    "ConvTranspose1d": TRANSPOSED_1D,
    "ConvTranspose2d": transposed(2),
    "ConvTranspose3d": transposed(3),
    "MaxPool1d": pooling(1, "Max"),
    "MaxPool2d": pooling(2, "Max"),
    "MaxPool3d": pooling(3, "Max"),
    "AvgPool1d": pooling(1, "Avg"),
    "AvgPool2d": pooling(2, "Avg"),
    "AvgPool3d": pooling(3, "Avg"),
    "ConvTranspose1d in groups": dataclasses.replace(
        TRANSPOSED_1D,
        layer="GroupedConvTranspose1d",
        keywords={**TRANSPOSED_1D.keywords, "groups": "groups"},
        refused={"padding_mode": "zeros"},
        snippet="GroupedConvTranspose1d",
    ),
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
    "MaxPool2d over the edge": Constructor(
        f"kernel_size stride padding {POOLING['Max']}",
        "CeilMaxPool2d",
        "kernel_size",
        {"stride": "stride", "padding": "padding"},
        {"stride": None, "padding": 0},
        refused={"dilation": 1, "return_indices": False, "ceil_mode": True},
        channels_last=True,
        snippet="CeilMaxPool2d",
    ),
    "AvgPool2d of what is inside": Constructor(
        "kernel_size stride padding ceil_mode count_include_pad divisor_override",
        "InnerAvgPool2d",
        "kernel_size",
        {"stride": "stride", "padding": "padding"},
        {"stride": None, "padding": 0},
        refused={"ceil_mode": False, "count_include_pad": False, "divisor_override": None},
        channels_last=True,
        snippet="InnerAvgPool2d",
    ),
}

# Layers that do nothing at inference: a call of one is its argument.
TRANSPARENT = frozenset({"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "Identity"})
CONVOLUTIONS = frozenset({"Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"})
TRANSPOSED_CONVOLUTIONS = frozenset({"ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"})
