"""Probes beside codegen's own: the far end of the position table, and variations of the inputs that a person gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from portwright.reference.probes import Probe


def far_positions(probes: Sequence[Probe], config: Mapping[str, Any]) -> list[Probe]:
    """A probe whose `position_ids` are the last that the config allows, where an unseen probe has them at all."""
    limit = config.get("max_position_embeddings")
    for probe in probes:
        positions = probe.tensors.get("position_ids")
        if positions is None or not isinstance(limit, int) or limit <= positions.shape[-1]:
            continue
        last = torch.arange(limit - positions.shape[-1], limit).expand(positions.shape).contiguous()
        tensors = {**probe.tensors, "position_ids": last}
        return [replace(probe, name="unseen-far", tensors=tensors, observed=False, tags=("long",))]
    return []


def varied(model: torch.nn.Module, probes: Sequence[Probe]) -> list[Probe]:
    """Unobserved probes from given ones: other values in the same shapes, and one row fewer where it can be."""
    found = []
    for probe in probes:
        g = torch.Generator().manual_seed(probe.seed + 7)
        other = {k: other_values(t, g) for k, t in probe.tensors.items()}
        found.append(replace(probe, name=f"{probe.name}-varied", tensors=other, observed=False))
        rows = {t.shape[0] for t in probe.tensors.values() if t.ndim}
        if len(rows) == 1 and rows.pop() > 1:
            fewer = {k: t[:-1] if t.ndim else t for k, t in other.items()}
            found.append(replace(probe, name=f"{probe.name}-fewer", tensors=fewer, observed=False))
    return [probe for probe in found if _runs(model, probe)]


def other_values(tensor: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Values of the same kind: floats drawn in the tensor's own spread, ids reordered; masks stay."""
    if tensor.is_floating_point():
        spread = tensor.float().std() if tensor.numel() > 1 else tensor.float().abs().mean()
        return (tensor.float().mean() + spread * torch.randn(tensor.shape, generator=g)).to(tensor.dtype)
    if tensor.dtype == torch.bool or tensor.is_complex() or tensor.numel() == 0 or int(tensor.max()) <= 1:
        return tensor
    return tensor.flatten()[torch.randperm(tensor.numel(), generator=g)].reshape(tensor.shape)


def _runs(model: torch.nn.Module, probe: Probe) -> bool:
    try:
        with torch.no_grad():
            model(**probe.arguments())
    except Exception:
        return False
    return True
