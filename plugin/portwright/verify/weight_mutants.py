"""Real porting bugs in a port's weights: wrong order, wrong layout, wrong dtype, lost bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

Weights = dict[str, mx.array]


@dataclass(frozen=True)
class WeightMutant:
    """One planted bug in the weights: gives the changed weights and the key that is wrong, or None."""

    name: str
    bug: str
    apply: Callable[[Weights], tuple[Weights, str] | None]


def _on(test: Callable[[str, mx.array], bool], change: Callable[[mx.array], mx.array]) -> Any:
    """A mutant that changes the first weight, in sorted order from the middle on, that passes a test."""

    def apply(weights: Weights) -> tuple[Weights, str] | None:
        keys = sorted(weights)
        half = len(keys) // 2
        for key in keys[half:] + keys[:half]:
            if test(key, weights[key]):
                return {**weights, key: change(weights[key])}, key
        return None

    return apply


def _matrix(key: str, value: mx.array) -> bool:
    return value.ndim == 2 and key.endswith(".weight") and "embed" not in key


def _even(key: str, value: mx.array) -> bool:
    return _matrix(key, value) and value.shape[0] % 2 == 0


def _square(key: str, value: mx.array) -> bool:
    return _matrix(key, value) and value.shape[0] == value.shape[1]


def _square_kernel(key: str, value: mx.array) -> bool:
    return value.ndim == 4 and value.shape[1] == value.shape[2] > 1


def _norm(key: str, value: mx.array) -> bool:
    return value.ndim == 1 and key.endswith(".weight")


def _swap_layers(weights: Weights) -> tuple[Weights, str] | None:
    """The same parameter of two layers exchanged."""
    for key in sorted(weights):
        other = key.replace(".0.", ".1.", 1)
        if (
            other != key
            and other in weights
            and weights[key].shape == weights[other].shape
            and _matrix(key, weights[key])
        ):
            return {**weights, key: weights[other], other: weights[key]}, key
    return None


def _drop(weights: Weights) -> tuple[Weights, str] | None:
    key = sorted(weights)[len(weights) // 2]
    return {k: v for k, v in weights.items() if k != key}, key


def _permuted(value: mx.array) -> mx.array:
    """Rows as llama.cpp orders them for its rotary layout."""
    return value.reshape(2, value.shape[0] // 2, -1).transpose(1, 0, 2).reshape(value.shape)


def _once(value: mx.array) -> mx.array:
    """One element with its lowest bit flipped."""
    bits = value.reshape(-1).view(mx.uint32 if value.dtype == mx.float32 else mx.uint16)
    bits[bits.size // 2] = bits[bits.size // 2] ^ 1
    return bits.view(value.dtype).reshape(value.shape)


def _kernel_turned(value: mx.array) -> mx.array:
    return value.transpose(0, 2, 1, 3)


def _halves(value: mx.array) -> mx.array:
    half = value.shape[0] // 2
    return mx.concatenate([value[half:], value[:half]])


def _bias(key: str, value: mx.array) -> bool:
    return key.endswith(".bias")


def _rounded(value: mx.array) -> mx.array:
    return value.astype(mx.bfloat16).astype(value.dtype)


WEIGHTS: tuple[WeightMutant, ...] = (
    WeightMutant("square_transposed", "a square matrix transposed twice", _on(_square, mx.transpose)),
    WeightMutant("conv_transposed_twice", "a convolution transposed twice", _on(_square_kernel, _kernel_turned)),
    WeightMutant("qk_permuted", "Q and K rows permuted", _on(_even, _permuted)),
    WeightMutant("gate_up_rows", "fused gate and up in the other order", _on(_even, _halves)),
    WeightMutant("layers_exchanged", "two layers' weights exchanged", _swap_layers),
    WeightMutant("key_dropped", "a weight dropped", _drop),
    WeightMutant("bias_zero", "a bias left at zero", _on(_bias, mx.zeros_like)),
    WeightMutant("through_bfloat16", "weights went through bfloat16", _on(_matrix, _rounded)),
    WeightMutant("stored_float16", "a tensor in another dtype", _on(_matrix, lambda v: v.astype(mx.float16))),
    WeightMutant("one_bit", "one bit of one element", _on(_matrix, _once)),
    WeightMutant("norm_of_ones", "a norm left at its initial ones", _on(_norm, mx.ones_like)),
)
