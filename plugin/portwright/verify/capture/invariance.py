"""Pairs of runs that must agree: a row alone and in a batch, a text with and without padding.

Whether a reference has the property is measured on it; a port is held to what its reference does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from portwright.reference.probes import Probe
from portwright.verify.capture.noise import figures, result_arrays
from portwright.verify.capture.wide import Shadow
from portwright.verify.compare import Distance, distance, floored, worst

HELD = 1e-4  # a reference that differs from itself by more does not have the property
PADDING = 5


def batch(model: torch.nn.Module, probes: Sequence[Probe]) -> dict[str, Any] | None:
    """The probe whose rows can be run one by one, the arguments to split, and the reference's own distance."""
    for number, probe in enumerate(probes):
        rows = {t.shape[0] for t in probe.tensors.values() if t.ndim}
        if len(rows) != 1 or rows.pop() < 2:
            continue
        split = sorted(name for name, tensor in probe.tensors.items() if tensor.ndim)
        found = batch_distance(model, probe, split)
        if found is not None and found.rel_l2 < HELD:
            return {"probe": number, "args": split, "noise": {"float32": figures(floored(found, "float32"))}}
    return None


def batch_distance(model: torch.nn.Module, probe: Probe, split: Sequence[str]) -> Distance | None:
    """How far the rows run one by one are from the batch; None where the outputs are not rows."""
    whole = run(model, probe)
    size = len(probe.tensors[split[0]])
    if whole is None or any(a.ndim == 0 or a.shape[0] != size for a in whole.values()):
        return None
    return joined([run(model, replace(probe, tensors=row_of(probe, split, row))) for row in range(size)], whole)


def row_of(probe: Probe, split: Sequence[str], row: int) -> dict[str, torch.Tensor]:
    return {k: t[row : row + 1] if k in split else t for k, t in probe.tensors.items()}


def joined(parts: Sequence[dict[str, np.ndarray[Any, Any]] | None], whole: dict[str, Any]) -> Distance | None:
    if any(part is None or set(part) != set(whole) for part in parts):
        return None
    if any(part[n].shape[1:] != array.shape[1:] for part in parts if part is not None for n, array in whole.items()):
        return None  # how long a row's answer is depends on the others'
    stacked = {name: np.concatenate([part[name] for part in parts if part is not None]) for name in whole}
    return worst(distance(stacked[name], array) for name, array in whole.items())


def padding(model: torch.nn.Module, probes: Sequence[Probe]) -> tuple[Probe, Probe, dict[str, Any]] | None:
    """A text with a full mask and the same with junk behind it, masked; and how far the reference's answers differ."""
    for number, probe in enumerate(probes):
        ids, mask = probe.tensors.get("input_ids"), probe.tensors.get("attention_mask")
        if ids is None or mask is None or mask.shape != ids.shape or probe.kwargs:
            continue
        length = min(ids.shape[1], 9)
        narrow = {k: t[:, :length] if t.shape == ids.shape else t for k, t in probe.tensors.items()}
        narrow["attention_mask"] = torch.ones_like(mask[:, :length])
        short = replace(probe, name="short", tensors=narrow, observed=False)
        longer = replace(
            probe, name="padded", tensors={k: padded(k, t, length) for k, t in narrow.items()}, observed=False
        )
        found = padding_distance(model, short, longer, length)
        if found is not None and found.rel_l2 < HELD:
            return (
                short,
                longer,
                {"probe": number, "length": length, "noise": {"float32": figures(floored(found, "float32"))}},
            )
    return None


def padding_distance(model: torch.nn.Module, short: Probe, longer: Probe, length: int) -> Distance | None:
    """How far the padded answers are from the unpadded ones; None where they are not the same list."""
    a, b = run(model, short), run(model, longer)
    if a is None or b is None or set(a) != set(b):
        return None
    return worst(distance(cut(b[name], array, length), array) for name, array in a.items())


def add_noise(
    pairs: tuple[Probe, Probe, dict[str, Any]] | None,
    batch: dict[str, Any] | None,
    probes: Sequence[Probe],
    shadow: Shadow,
    dtype: str,
) -> None:
    """Note how far a 16-bit reference is from itself over the same pairs of runs."""

    def cast(probe: Probe) -> Probe:
        return replace(probe, tensors={k: shadow.cast(t) for k, t in probe.tensors.items()})

    if pairs is not None:
        short, longer, entry = pairs
        found = padding_distance(shadow.model, cast(short), cast(longer), entry["length"])
        if found is not None:
            entry["noise"][dtype] = figures(floored(found, dtype))
    if batch is not None:
        found = batch_distance(shadow.model, cast(probes[batch["probe"]]), batch["args"])
        if found is not None:
            batch["noise"][dtype] = figures(floored(found, dtype))


def at_least(
    pairs: tuple[Probe, Probe, dict[str, Any]] | None,
    batch: dict[str, Any] | None,
    entries: Sequence[dict[str, Any]],
    dtype: str,
) -> None:
    """Raise each pair's noise to that of one run: two honest runs may be that far apart, even where the reference's
    own are closer because both take the same path through its kernels.
    """
    for entry in (pairs[2] if pairs is not None else None, batch):
        if entry is not None and dtype in entry["noise"]:
            run_noise = entries[entry["probe"]]["noise"].get(dtype, {}).values()
            for metric in ("rel_l2", "scaled_max"):
                entry["noise"][dtype][metric] = max([entry["noise"][dtype][metric], *(n[metric] for n in run_noise)])


def padded(name: str, tensor: torch.Tensor, length: int) -> torch.Tensor:
    """The tensor with PADDING more columns: masked, positions that go on, and ids taken from the text itself."""
    if tensor.ndim != 2 or tensor.shape[1] != length:
        return tensor
    if name == "attention_mask":
        tail = torch.zeros_like(tensor[:, :1]).expand(-1, PADDING)
    elif name == "position_ids":
        tail = tensor[:, -1:] + 1 + torch.arange(PADDING)
    else:
        tail = tensor[:, :PADDING].flip(1)
    return torch.cat([tensor, tail], dim=1)


def cut(array: np.ndarray[Any, Any], like: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    """The part of a padded run's result that belongs to the unpadded text."""
    if array.ndim < 2 or array.shape == like.shape:
        return array
    return array[:, :length]


def run(model: torch.nn.Module, probe: Probe) -> dict[str, np.ndarray[Any, Any]] | None:
    try:
        with torch.no_grad():
            return result_arrays(model(**probe.arguments()))
    except Exception:
        return None  # the property cannot be asked of inputs that it does not take
