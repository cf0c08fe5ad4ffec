"""Which parameters and inputs move the outputs: what moves nothing could be wrong unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from portwright.reference.probes import Probe
from portwright.verify import tree
from portwright.verify.capture.record import is_tensor


def outputs(model: torch.nn.Module, arguments: dict[str, Any]) -> list[torch.Tensor]:
    return list(tree.flatten(model(**arguments), is_tensor).values())


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(
        x.shape == y.shape and torch.equal(torch.nan_to_num(x), torch.nan_to_num(y)) for x, y in zip(a, b, strict=True)
    )


def live_parameters(model: torch.nn.Module, probes: Sequence[Probe]) -> set[str]:
    """Names of the state dict's tensors that move an output of some probe: by gradient, else by a shake."""
    state = model.state_dict(keep_vars=True)
    live = _by_gradient(model, probes[0])
    for probe in probes:
        rest = [name for name in state if name not in live]
        if not rest:
            break
        with torch.no_grad():
            before = outputs(model, probe.arguments())
            for name in rest:
                if _shaken_moves(model, state[name], probe, before):
                    live.add(name)
    return live


def _by_gradient(model: torch.nn.Module, probe: Probe) -> set[str]:
    """One backward pass finds nearly all; models that it fails on are shaken parameter by parameter."""
    named = [(n, t) for n, t in model.state_dict(keep_vars=True).items() if isinstance(t, torch.nn.Parameter)]
    floats = [(n, p) for n, p in named if p.is_floating_point()]
    try:
        for _, parameter in floats:
            parameter.requires_grad_(True)
        g = torch.Generator().manual_seed(0)
        terms = [
            (t.float() * torch.randn(t.shape, generator=g)).sum()
            for t in outputs(model, probe.arguments())
            if t.is_floating_point() and t.requires_grad
        ]
        if not terms:
            return set()
        gradients = torch.autograd.grad(torch.stack(terms).sum(), [p for _, p in floats], allow_unused=True)
    except RuntimeError:
        return set()
    finally:
        model.requires_grad_(False)
    return {n for (n, _), g in zip(floats, gradients, strict=True) if g is not None and bool((g != 0).any())}


def _shaken_moves(model: torch.nn.Module, tensor: torch.Tensor, probe: Probe, before: list[torch.Tensor]) -> bool:
    kept = tensor.detach().clone()
    try:
        tensor.copy_(shaken(kept))
        return not same(before, outputs(model, probe.arguments()))
    except (RuntimeError, IndexError):
        return True  # an index buffer that is now out of range is read
    finally:
        tensor.copy_(kept)


def shaken(tensor: torch.Tensor) -> torch.Tensor:
    """A value that differs from `tensor` in every element; integers stay within its own range."""
    if tensor.dtype == torch.bool:
        return ~tensor
    if tensor.is_floating_point() or tensor.is_complex():
        g = torch.Generator().manual_seed(1)
        size = tensor.abs().mean() if tensor.numel() else torch.zeros(())
        return tensor + (0.5 * size + 0.1) * torch.randn(tensor.shape, generator=g).to(tensor.dtype)
    high = int(tensor.max()) if tensor.numel() else 0
    return (tensor + 1).where(tensor < high, torch.zeros_like(tensor)) if high else 1 - tensor.clamp(0, 1)


def live_inputs(model: torch.nn.Module, probes: Sequence[Probe]) -> dict[str, bool]:
    """For each tensor argument, whether shaking it moves an output of some probe that gives it."""
    live: dict[str, bool] = {}
    with torch.no_grad():
        for probe in probes:
            todo = [name for name in probe.tensors if not live.get(name)]
            before = outputs(model, probe.arguments()) if todo else []
            for name in todo:
                shaken_one = replace(probe, tensors={**probe.tensors, name: shaken(probe.tensors[name])})
                try:
                    live[name] = not same(before, outputs(model, shaken_one.arguments()))
                except (RuntimeError, IndexError, ValueError):
                    live[name] = True
    return live
