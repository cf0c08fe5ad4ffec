"""Probes of models that read text and pictures: token ids in which a picture's tokens stand where its features go.

The number of tokens is what the model itself asks for: it refuses a text that has another number, and says both.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from portwright.reference.forms import config_of, width
from portwright.reference.guided import Choice, guided, made, tried
from portwright.reference.named_inputs import Sizes, field, sizes_of

REFUSAL = re.compile(r"tokens:? *(\d+),? *features:? *(\d+)")
TEXT = 6  # tokens at least beside a picture's
PLANS = (("pictures", 13, 2, True), ("unseen-pictures", 17, 3, False), ("unseen-picture", 11, 1, False))


def picture_token(model: torch.nn.Module) -> int | None:
    """The id of the token that stands for a piece of a picture, None where the config names none."""
    config = config_of(model)
    for name in ("image_token_id", "image_token_index"):
        value = getattr(config, name, None)
        if isinstance(value, int) and 0 <= value < int(field(config, "vocab_size", default=0)):
            return value
    return None


def reads_pictures(model: torch.nn.Module, names: Mapping[str, inspect.Parameter]) -> bool:
    return "input_ids" in names and "pixel_values" in names and picture_token(model) is not None


def with_pictures(
    model: torch.nn.Module, names: Mapping[str, inspect.Parameter]
) -> list[tuple[str, dict[str, torch.Tensor], int, bool]]:
    """Name, tensors, seed and whether it is observed, of each call with pictures that the model runs on."""

    def attempt(choice: Choice, sizes: Sizes, seed: int = 100) -> tuple[Choice, dict[str, torch.Tensor] | None]:
        tensors, result, asked = None, choice, 0
        for count in (0, 1, width(model)):  # a refusal counts vectors, or numbers: the width of the text times as many
            features = asked // count if count else 0
            tensors = placed(model, names, choice, sizes, torch.Generator().manual_seed(seed), features)
            result = tried(model, choice, sizes, tensors)
            refusal = REFUSAL.search(result.reason)
            if refusal is None or not int(refusal[2]):
                break
            asked = int(refusal[2])
        return result, tensors

    first = sizes_of(model, 13, 2, variant=0)
    choice = guided(model, names, ["input_ids", "pixel_values"], first, {}, attempt=lambda c, s: attempt(c, s)[0])
    if not choice.ran:
        return []
    out = []
    for index, (title, length, batch, observed) in enumerate(PLANS):
        result, tensors = attempt(choice, sizes_of(model, length, batch, variant=2 * index), 300 + index)
        if result.ran and tensors is not None:
            out.append((title, tensors, 300 + index, observed))
    return out


def placed(
    model: torch.nn.Module,
    names: Mapping[str, inspect.Parameter],
    choice: Choice,
    sizes: Sizes,
    g: torch.Generator,
    features: int,
) -> dict[str, torch.Tensor] | None:
    """The tensors of a choice, with so many picture tokens in its text and no other by chance."""
    shares = shared(features, made(model, choice, sizes, torch.Generator().manual_seed(0)) or {}, sizes.batch)
    sizes = replace(sizes, length=max(sizes.length, max(shares) + TEXT + sizes.variant % 3))
    tensors = made(model, choice, sizes, g)
    token = picture_token(model)
    if tensors is None or token is None:
        return tensors
    ids = tensors["input_ids"]
    for special in special_tokens(config_of(model)):
        ids[ids == special] = 3 if special != 3 else 4
    for row, count in enumerate(shares):
        ids[row, 1 : 1 + count] = token
    if "mm_token_type_ids" in names:
        tensors["mm_token_type_ids"] = (ids == token).long()
    return tensors


def shared(features: int, tensors: Mapping[str, torch.Tensor], batch: int) -> list[int]:
    """How many of the features belong to each row: by the area of its picture where a grid says it, else alike."""
    grid = next((t for n, t in tensors.items() if n.endswith(("grid_thw", "grid_hws", "target_sizes"))), None)
    areas = [int(a) for a in grid.prod(1)] if grid is not None and len(grid) == batch else [1] * batch
    shares = [features * area // sum(areas) for area in areas]
    shares[0] += features - sum(shares)
    return shares


def special_tokens(config: Any) -> set[int]:
    """The ids of the tokens that stand for something other than text."""
    named = vars(config) if config is not None else {}
    return {v for n, v in named.items() if re.fullmatch(r"(image|video|audio).*_(id|index)", n) and isinstance(v, int)}
