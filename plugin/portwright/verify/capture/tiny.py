"""Norms on inputs as small as their epsilon: on ordinary inputs a wrong epsilon is below every noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from portwright.verify import tree
from portwright.verify.capture.record import Call, call_with, is_tensor
from portwright.verify.capture.store import TensorStore

INDEX = 1000  # such a call is none of a run's: no run is compared with it


def epsilon_of(module: nn.Module) -> float | None:
    """The module's epsilon, by the names that the field gives it; None for modules with children or without one."""
    if next(module.children(), None) is not None:
        return None
    named = {k: v for k, v in vars(module).items() if "eps" in k.lower() and isinstance(v, float)}
    return next((v for v in named.values() if 0 < v < 0.1), None)


def tiny_calls(model: nn.Module, calls: Sequence[Call], store: TensorStore) -> list[Call]:
    """For each norm one more call, on its own recorded input scaled to the size of its epsilon's root."""
    found: dict[str, Call] = {}
    modules = dict(model.named_modules())
    for call in calls:
        epsilon = epsilon_of(modules[call.module])
        tensors = [name for name, node in call.args.items() if "t" in node]
        if epsilon is None or call.module in found or call.opaque or len(tensors) != 1:
            continue
        named = {name: tree.decode(node, store.load) for name, node in call.args.items()}
        value = named[tensors[0]]
        size = float(value.float().square().mean().sqrt()) if value.is_floating_point() else 0.0
        if not size:
            continue
        named[tensors[0]] = value * (math.sqrt(epsilon) / size)
        with torch.no_grad():
            output = call_with(modules[call.module], named)
        args = {name: tree.encode(item, is_tensor, store.add) for name, item in named.items()}
        result = tree.encode_result(output, is_tensor, store.add)
        found[call.module] = Call(call.module, call.probe, INDEX, args, result)
    return list(found.values())
