"""Runs of a causal language model with its library's key-value cache, in place of plain probes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

from portwright.errors import ExitCode, PortError, Problem

CACHE_ARGUMENTS = ("cache", "past_key_values")
GIVEN = ("input_ids", "inputs_embeds")  # what an mlx-lm model takes, besides its cache
LONGEST_WINDOW = 512


def cache_argument(cls: type[torch.nn.Module], reference: str) -> str:
    """What `forward` calls its cache. Raises PortError (USAGE) for a model that has none."""
    parameters = inspect.signature(inspect.unwrap(cls.forward)).parameters
    for name in CACHE_ARGUMENTS:
        if name in parameters and "input_ids" in parameters:
            return name
    problem = "its forward takes no input_ids with a key-value cache, which every model of mlx-lm does"
    raise PortError(Problem(reference, problem, 'use runtime = "standalone"'), ExitCode.USAGE)


def check_result(reference: str, result: Any, cache: Any) -> None:
    """Raise PortError (USAGE) for a model that gives no logits, or leaves its cache empty: mlx-lm cannot drive it."""
    problem = ""
    if getattr(result, "logits", None) is None:
        problem = "it gives no logits, which every model of mlx-lm does"
    elif cache is not None and not cache.get_seq_length():
        problem = "it puts nothing into its key-value cache"
    if problem:
        hint = 'name a class with a language model\'s head, or use runtime = "standalone"'
        raise PortError(Problem(reference, problem, hint), ExitCode.USAGE)


def check_layers(reference: str, config: Any) -> None:
    """Raise PortError (USAGE) for a model some of whose layers keep another state than keys and values."""
    from transformers.cache_utils import LinearAttentionCacheLayerMixin

    layers = fresh_cache(config).layers
    found = sorted({type(x).__name__ for x in layers if isinstance(x, LinearAttentionCacheLayerMixin)})
    if found:
        problem = f"its layers keep a recurrent state ({', '.join(found)}), for which no mlx-lm cache is written yet"
        raise PortError(Problem(reference, problem, 'use runtime = "standalone"'), ExitCode.USAGE)


def runs(model: torch.nn.Module, argument: str, seed: int) -> Iterator[list[dict[str, Any]]]:
    """Groups of calls, as keyword arguments; the calls of a group share one cache.

    Without a cache from tokens and from embeddings; a batched prefill, single tokens and a second piece through the
    cache; a prefill that is longer than a sliding window.
    """
    config: Any = model.config
    embeddings: Any = model.get_input_embeddings()
    vocabulary = embeddings.weight.shape[0]
    generator = torch.Generator().manual_seed(seed)

    def tokens(batch: int, length: int) -> dict[str, Any]:
        return {"input_ids": torch.randint(1, vocabulary, (batch, length), generator=generator), "use_cache": False}

    def cached(*shapes: tuple[int, int]) -> list[dict[str, Any]]:
        cache = fresh_cache(config)
        return [{**tokens(*shape), argument: cache} for shape in shapes]

    yield [tokens(2, 13)]
    taken = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    if "inputs_embeds" in taken:
        width = embeddings.weight.shape[1]
        yield [{"inputs_embeds": torch.randn(2, 9, width, generator=generator), "use_cache": False}]
    yield cached((2, 5), (2, 1), (2, 1), (2, 4))
    window = getattr(config.get_text_config(), "sliding_window", None)
    if isinstance(window, int) and window <= LONGEST_WINDOW:
        yield cached((1, window + 3), (1, 1))


def fresh_cache(config: Any) -> Any:
    """An empty cache whose layers are what the config says."""
    from transformers import DynamicCache

    return DynamicCache(config=config)
