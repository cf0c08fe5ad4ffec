"""Probes beside codegen's own: positions at the far end of the table, reached without a text as long."""

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
