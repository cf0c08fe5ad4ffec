"""Does the port write what the reference writes, token for token?

Each token is chosen after the reference's own before it: while none differs, that is the text that the port writes. It
reads them through its runtime's cache where it has one, the first text token by token as a user's port does, the others
several at a time. A difference where the reference itself had no more than noise to choose by is a tie: it is told with
its margin, and is no mismatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from portwright.verify.golden import read_tensors
from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun
from portwright.verify.tolerance import limits

STEP = 16  # tokens read at a time, after the first text


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Count the tokens that differ, over all prompts; none may, but at ties."""
    entry = bench.golden.body.get("greedy")
    if entry is None:
        return
    tensors, _ = read_tensors(bench.golden.folder / entry["file"])
    model = bench.stored_model if bench.job.kept else bench.model
    allowed = 2 * limits().headroom * float(entry["noise"])  # two logits, each off by so much
    wrong, said, least = 0, [], np.inf
    for number, length in enumerate(entry["prompts"]):
        tokens, margins = tensors[f"{number:03d}.tokens"], tensors[f"{number:03d}.margins"]
        least = min(least, float(margins.min()))
        chosen = written(model, tokens, length, STEP if number else 1)
        for place in np.flatnonzero(chosen != tokens[length:]):
            tie = float(margins[place]) <= allowed
            wrong += not tie
            kind = "a tie" if tie else "another token"
            told = f"{chosen[place]} instead of {tokens[length + place]}"
            said.append(f"prompt {number}, token {place}: {kind}, {told}, the margin was {margins[place]:.1e}")
    total = len(entry["prompts"]) * int(entry["tokens"])
    said.append(f"{total} tokens; the least margin was {least:.1e}, ties are at most {allowed:.1e}")
    yield Measured("greedy/tokens", "mismatches", wrong, 0, "exact", "\n".join(said))


def written(model: Any, tokens: mlx_port.Array, length: int, step: int) -> mlx_port.Array:
    """The port's choice for each token behind the first `length`, given the reference's tokens before it.

    With a cache the prompt is read first, and then `step` tokens at a time.
    """
    cache = cache_of(model)
    if cache is None:
        logits = first(mlx_port.run(model, {"input_ids": tokens[None]}, {}))
        return np.array(mx.argmax(logits[0, length - 1 : -1], axis=-1)).astype(tokens.dtype)
    read = tokens[:-1]  # nothing follows the last
    parts = [read[:length], *(read[at : at + step] for at in range(length, len(read), step))]
    chosen: list[mlx_port.Array] = []
    for part in parts:
        best = mx.argmax(first(model(mx.array(part)[None], cache=cache))[0], axis=-1)
        chosen.append(np.array(best if chosen else best[-1:]))
    return np.concatenate(chosen).astype(tokens.dtype)


def cache_of(model: Any) -> Any:
    """A new cache of the runtime's for this model, None where it takes none."""
    if "cache" not in mlx_port.argument_titles(model).values():
        return None
    from mlx_lm.models.cache import make_prompt_cache

    return make_prompt_cache(model)


def first(result: Any) -> mx.array:
    return next(iter(mlx_port.named_outputs(result).values()))
