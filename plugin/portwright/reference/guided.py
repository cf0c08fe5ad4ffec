"""Find by trial which arguments, and which form of each, a model runs on.

Each failure says how many modules were called before it; the change of one argument that gets furthest is kept.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from portwright.reference.catalogue import ENABLING, FORMS, forms
from portwright.reference.named_inputs import Sizes

TRIES = 90
EITHER = ("inputs_embeds", "decoder_inputs_embeds", "pixel_values_videos", "video_grid_thw")  # stand for another input
FEW = 12  # tries, with a hint
SECONDS = 5.0  # of processor time


@dataclass(frozen=True)
class Choice:
    """Which form of each argument to give: indices into `catalogue.forms`."""

    forms: Mapping[str, int]
    calls: int = -1  # modules called before it failed
    ran: bool = False
    reason: str = ""
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def guided(
    model: torch.nn.Module,
    names: Mapping[str, inspect.Parameter],
    required: list[str],
    sizes: Sizes,
    given: Mapping[str, Any],
    hint: Choice | None = None,
    attempt: Callable[[Choice, Sizes], Choice] | None = None,
) -> Choice:
    """The first choice of arguments that the model runs on; where there is none, the one that came furthest.

    A `hint` is the best choice for a similar model: it is where the search starts, and few others are tried.
    `attempt` runs a choice, where more has to be done for it than making its tensors.
    """
    run = attempt or (lambda choice, sizes: tried(model, choice, sizes))
    start = [n for n in required if n not in given]
    unknown = [n for n in start if not forms(n)]
    if unknown:
        return Choice({}, reason=f"no probe is known for {', '.join(unknown)}")
    first = dict.fromkeys(start, 0) if hint is None or not hint.forms else dict(hint.forms)
    best = run(Choice(first, kwargs=given), sizes)
    left, end = TRIES if hint is None else FEW, time.process_time() + SECONDS
    while not best.ran and left > 0 and time.process_time() < end:
        found = best
        for changed in changes(best, names, given):
            trial = run(Choice(changed, kwargs=given), sizes)
            left -= 1
            if trial.ran or trial.calls > found.calls:
                found = trial
            if trial.ran or left <= 0 or time.process_time() > end:
                break
        if found is best:
            break
        best = found
    return best


def changes(best: Choice, names: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> list[dict[str, int]]:
    """Every choice that differs in one argument: another form of it, or one more argument."""
    more = [
        {**best.forms, n: 0} for n in ENABLING if n in names and n not in best.forms and n not in given and forms(n)
    ]
    other = [
        {**best.forms, n: index} for n, now in best.forms.items() for index in range(len(forms(n))) if index != now
    ]
    said = [c for c in more if any(n in best.reason for n in set(c) - set(best.forms))]
    every = {n: 0 for n in FORMS if n in names and n not in given and n not in EITHER} | dict(best.forms)
    return [*said, *other, *[c for c in more if c not in said], *([every] if len(every) > len(best.forms) + 1 else [])]


def tried(
    model: torch.nn.Module, choice: Choice, sizes: Sizes, tensors: Mapping[str, torch.Tensor] | None = None
) -> Choice:
    """Run the model once, on these tensors where they are made already, and say how far it came."""
    tensors = tensors or made(model, choice, sizes, torch.Generator().manual_seed(100))
    if tensors is None:
        return replace(choice, reason="an input could not be made")
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    handle = register_module_forward_pre_hook(count)
    try:
        with torch.no_grad():
            model(**tensors, **choice.kwargs)
    except Exception as error:
        return replace(choice, calls=calls, reason=f"{type(error).__name__}: {error}")
    finally:
        handle.remove()
    return replace(choice, calls=calls, ran=True)


def made(model: torch.nn.Module, choice: Choice, sizes: Sizes, g: torch.Generator) -> dict[str, torch.Tensor] | None:
    """The tensors of a choice, or None when one cannot be made for this model."""
    tensors = {}
    for name, index in choice.forms.items():
        try:
            value = forms(name)[index](model, sizes, g)
        except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError):
            return None
        if value is None:
            return None
        tensors[name] = value
    return tensors
