"""Which weights are quantized, and how: `mx.quantize` modes per layer, written as mlx-lm writes them.

MLX is imported only where a weight is really quantized. Rows are independent, so a large weight goes through in
pieces; only its scales and biases are held until it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import Any

import numpy as np

from ..errors import ExitCode, PortError, Problem
from ..rules.ops import Shape
from ..tensorwriter import Entry
from .cast import cast
from .lazy import Array, Lazy

_GROUPS = {"affine": (32, 64, 128), "mxfp4": (32,), "mxfp8": (32,), "nvfp4": (16,)}
_BITS = {"affine": (2, 3, 4, 5, 6, 8), "mxfp4": (4,), "mxfp8": (8,), "nvfp4": (4,)}
_BLOCK = 1 << 23  # elements that are quantized at once


@dataclass(frozen=True)
class Quantization:
    """How one weight is quantized: `bits` per element, `group_size` elements that share a scale."""

    bits: int
    group_size: int
    mode: str

    def entries(self, key: str, shape: Shape, code: str) -> list[Entry]:
        """What is written instead of the weight `key`, which had `shape` and dtype `code`."""
        stem = key.removesuffix("weight")
        rows, columns = shape[:-1], shape[-1]
        groups = (*rows, columns // self.group_size)
        packed = Entry(key, "U32", (*rows, columns * self.bits // 32))
        if self.mode != "affine":
            return [packed, Entry(f"{stem}scales", "U8", groups)]
        return [packed, Entry(f"{stem}scales", code, groups), Entry(f"{stem}biases", code, groups)]

    def to_json(self) -> dict[str, Any]:
        return {"group_size": self.group_size, "bits": self.bits, "mode": self.mode}


@dataclass(frozen=True)
class Recipe:
    """The quantization of a whole port: a default, module patterns that stay as they are, and mixed layers.

    Patterns are globs over module paths, `*` standing for anything; in `layers` the first that fits counts.
    """

    default: Quantization
    keep: tuple[str, ...] = ()
    layers: tuple[tuple[str, Quantization], ...] = ()
    modules: frozenset[str] | None = None  # those that can be quantized; None: every 2-D weight
    kept: bool = False  # it is the source's own, whose blocks are not rounded again

    def of(self, key: str, shape: Shape, code: str) -> Quantization | None:
        """How the target `key` is quantized, None where it stays."""
        path, _, name = key.rpartition(".")
        if name != "weight" or code not in ("F32", "F16", "BF16") or any(fnmatchcase(path, p) for p in self.keep):
            return None
        if path not in self.modules if self.modules is not None else len(shape) != 2:
            return None
        chosen = next((how for pattern, how in self.layers if fnmatchcase(path, pattern)), self.default)
        return chosen if shape[-1] % chosen.group_size == 0 and (shape[-1] * chosen.bits) % 32 == 0 else None

    def config(self, targets: Mapping[str, tuple[Shape, str]]) -> dict[str, Any]:
        """The `quantization` object for config.json: the default, and each layer that differs from it by its path."""
        body = self.default.to_json()
        for key, (shape, code) in sorted(targets.items()):
            path, _, name = key.rpartition(".")
            if name != "weight" or len(shape) < 2:
                continue
            chosen = self.of(key, shape, code)
            if chosen is None:
                body[path] = False
            elif chosen != self.default:
                body[path] = chosen.to_json()
        return body


def parse_recipe(body: Mapping[str, Any]) -> Recipe:
    """Read the job's `quantize` object; raises PortError with every setting that MLX does not know."""
    problems: list[Problem] = []
    default = _quantization(body, {}, "quantize", problems)
    layers = []
    for index, layer in enumerate(body.get("layers", [])):
        layers.append((str(layer["match"]), _quantization(layer, body, f"quantize.layers.{index}", problems)))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    modules = body.get("modules")
    known = frozenset(modules) if modules is not None else None
    return Recipe(default, tuple(body.get("keep", ())), tuple(layers), known)


def _quantization(
    body: Mapping[str, Any], base: Mapping[str, Any], where: str, problems: list[Problem]
) -> Quantization:
    mode = body.get("mode", base.get("mode", "affine"))
    if mode not in _GROUPS:
        problems.append(
            Problem(f"{where}.mode", f"{mode!r} is not a mode of mx.quantize", f"one of: {', '.join(_GROUPS)}")
        )
        return Quantization(4, 64, "affine")
    inherited = base if base.get("mode", "affine") == mode else {}
    bits = body.get("bits", inherited.get("bits", _BITS[mode][0] if len(_BITS[mode]) == 1 else 4))
    group = body.get("group_size", inherited.get("group_size", _GROUPS[mode][0] if len(_GROUPS[mode]) == 1 else 64))
    if bits not in _BITS[mode]:
        problems.append(Problem(f"{where}.bits", f"{mode} cannot have {bits} bits", f"one of: {_list(_BITS[mode])}"))
    if group not in _GROUPS[mode]:
        hint = f"one of: {_list(_GROUPS[mode])}"
        problems.append(Problem(f"{where}.group_size", f"{mode} cannot have groups of {group}", hint))
    return Quantization(bits, group, mode)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def quantized(lazy: Lazy, how: Quantization, code: str) -> Iterator[Array]:
    """The bytes of weight, scales and, for affine, biases, in this order; the weight is first cast to dtype `code`."""
    import mlx.core as mx

    columns = lazy.shape[-1]
    later: list[list[Array]] = []
    for block in _row_blocks(lazy, max(1, _BLOCK // columns)):
        bits = np.ascontiguousarray(cast(block, lazy.code, code)).reshape(-1, columns)
        weight = mx.array(bits).view(mx.bfloat16) if code == "BF16" else mx.array(bits)
        packed, *rest = mx.quantize(weight, how.group_size, how.bits, how.mode)
        yield _bits(packed)
        later.append([_bits(array) for array in rest])
    for index in range(2 if how.mode == "affine" else 1):
        for parts in later:
            yield parts[index]


def _row_blocks(lazy: Lazy, rows: int) -> Iterator[Array]:
    """A tensor in pieces of whole rows of its last axis."""
    if len(lazy.shape) == 2:
        for start in range(0, lazy.shape[0], rows):
            yield lazy.rows(start, min(lazy.shape[0], start + rows))
        return
    step = max(1, rows * lazy.shape[0] // max(1, prod(lazy.shape[:-1])))
    for start in range(0, lazy.shape[0], step):
        yield lazy.rows(start, min(lazy.shape[0], start + step))


def _bits(array: Any) -> Array:
    """An MLX array as numpy, bfloat16 as its bits."""
    import mlx.core as mx

    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array)
