"""What the reference writes: each prompt continued by its likeliest token, with how far that was ahead of the next.

The text is written as a user's is, token by token through the reference's cache; prompts of one length are written
together. The margins come from one run over each whole text, and the noise from the same run in float64: where a margin
is not above it, honest arithmetic may choose either token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from portwright.errors import ExitCode, PortError, Problem
from portwright.verify.capture.store import to_numpy, write_tensors
from portwright.verify.capture.wide import Shadow
from portwright.workers import Emit

FILE = "greedy.safetensors"
TOKENS = 128


def capture(
    model: torch.nn.Module,
    rebuild: Callable[[], torch.nn.Module],
    prompts: Sequence[str],
    tokenizer: Path,
    folder: Path,
    emit: Emit,
) -> dict[str, Any] | None:
    """Write the texts' tokens and margins to `folder`; return the entry of golden.json, or None without prompts.

    Raises PortError where there is no tokenizer, or the model gives no logits by token.
    """
    if not prompts:
        return None
    texts = [encoded(tokenizer, prompt) for prompt in prompts]
    tensors: dict[str, Any] = {}
    wholes: list[tuple[torch.Tensor, torch.Tensor]] = []
    for length in sorted(set(map(len, texts))):
        numbers = [number for number, ids in enumerate(texts) if len(ids) == length]
        emit.progress(len(wholes), len(texts), "prompts", "the reference writes")
        for number, ids in zip(numbers, written(model, torch.tensor([texts[n] for n in numbers])), strict=True):
            logits = continuation(model, ids[None])
            best = logits.topk(2).values
            tensors[f"{number:03d}.tokens"] = to_numpy(ids)
            tensors[f"{number:03d}.margins"] = to_numpy(best[:, 0] - best[:, 1])
            wholes.append((ids[None], logits))
    emit.log("measuring the noise of what the reference writes")
    shadow = Shadow(model, "float32", rebuild)
    noise = 0.0
    with shadow.run():
        for whole, logits in wholes:
            noise = max(noise, float((continuation(shadow.model, whole) - logits).abs().max()))
    write_tensors(folder / FILE, tensors, {"prompts": json.dumps(list(prompts), ensure_ascii=False)})
    return {"file": FILE, "prompts": list(map(len, texts)), "tokens": TOKENS, "noise": float(f"{noise:.2e}")}


def encoded(tokenizer: Path, text: str) -> list[int]:
    """A prompt's tokens; special tokens that stand in it count as such."""
    from tokenizers import Tokenizer

    if not tokenizer.is_file():
        hint = "name tokenizer.json in the Skill's `carry`, or take the prompts out of port.toml"
        raise PortError(Problem("prompts", "the source brings no tokenizer.json to read them by", hint), ExitCode.USAGE)
    ids: list[int] = Tokenizer.from_file(str(tokenizer)).encode(text).ids
    if not ids:
        raise PortError(Problem("prompts", f"{text!r} has no tokens", "write a longer prompt"), ExitCode.USAGE)
    return ids


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed
def written(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """The prompts (batch, n) and TOKENS more, each the likeliest after those before it."""
    given, cache = ids, None
    for _ in range(TOKENS):
        output = model(input_ids=given, past_key_values=cache, use_cache=True)
        cache = getattr(output, "past_key_values", None)
        chosen = logits_of(output)[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, chosen], dim=1)
        given = ids if cache is None else chosen
    return ids


@torch.no_grad()  # type: ignore[untyped-decorator]
def continuation(model: torch.nn.Module, whole: torch.Tensor) -> torch.Tensor:
    """The logits (TOKENS, vocabulary) that chose the last TOKENS of a text, from one run over all of it."""
    return logits_of(model(input_ids=whole, use_cache=False))[0, -TOKENS - 1 : -1]


def logits_of(output: Any) -> torch.Tensor:
    logits = getattr(output, "logits", None)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 3:
        hint = "take the prompts out of port.toml: only a model that gives logits by token writes"
        raise PortError(Problem("prompts", "the reference gives no logits by token", hint), ExitCode.USAGE)
    return logits
