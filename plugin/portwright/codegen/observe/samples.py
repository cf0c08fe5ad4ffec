"""Record inputs and outputs of the calls that an idiom could be proved on, within a budget of bytes."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from portwright.codegen.observe.contexts import Context
from portwright.codegen.observe.policy import is_rewritten
from portwright.codegen.observe.resolve import function_key, resolve
from portwright.codegen.trace import SampleCall

LARGEST = 1 << 18  # elements of one recorded tensor
BUDGET = 96 << 20  # bytes of all of them
PER_KEY = 3  # calls kept per function and module instance
ROTATIONS = 24  # of those about rotary positions, which have to be seen at the start and further on


def is_norm_like(module: Any) -> bool:
    """A module of its own forward, without children, with at most a weight and a bias."""
    if not isinstance(module, torch.nn.Module) or next(module.children(), None) is not None:
        return False
    names = {n for n, _ in module.named_parameters(recurse=False)}
    return bool(names) and names <= {"weight", "bias", "scale", "gamma", "beta"}


def is_rotary(module: Any) -> bool:
    """A module without parameters or children that answers positions."""
    if next(module.parameters(), None) is not None or next(module.children(), None) is not None:
        return False
    return "position_ids" in inspect.signature(inspect.unwrap(type(module).forward)).parameters


class Sampler:
    """Decides which calls to keep; the tensors are cloned, so that in-place code cannot change them."""

    def __init__(self) -> None:
        self.calls: list[SampleCall] = []
        self.contexts: list[Context | None] = []  # of each call
        self.tensors: dict[str, torch.Tensor] = {}
        self.bytes = 0
        self.counts: dict[tuple[str, int, tuple[str, ...]], int] = {}
        self.modules: dict[int, torch.nn.Module] = {}

    def called(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, entered: list[Context]
    ) -> None:
        target = resolve(function)
        if target.function is None or not is_rewritten(target.function):
            return
        owner = function if isinstance(function, torch.nn.Module) else None
        if owner is None:
            code = inspect.unwrap(target.function).__code__
            names = code.co_varnames[: code.co_argcount]
            rotation = {"cos", "sin"} <= set(names)
            if not rotation and not {"query", "key", "value"} <= set(names):
                return
        else:
            rotation = is_rotary(owner)
            if not rotation and not is_norm_like(owner):
                return
        outputs = [result] if isinstance(result, torch.Tensor) else list(result) if isinstance(result, tuple) else []
        outputs = outputs if rotation else outputs[:1]
        if not outputs or not all(isinstance(o, torch.Tensor) for o in outputs):
            return
        context = next((c for c in entered if c.reached.function is target.function), None)
        self.keep(target.function, owner, args, kwargs, outputs, ROTATIONS if rotation else PER_KEY, context)

    def keep(
        self,
        function: Any,
        owner: torch.nn.Module | None,
        args: Any,
        kwargs: Any,
        outputs: list[torch.Tensor],
        most: int,
        context: Context | None,
    ) -> None:
        signature = inspect.signature(function)
        try:
            bound = signature.bind(*((owner, *args) if owner is not None else args), **kwargs)
        except TypeError:
            return
        bound.apply_defaults()
        values = dict(bound.arguments)
        values.pop("self", None)
        tensors = {k: v for k, v in values.items() if isinstance(v, torch.Tensor)}
        if owner is not None:
            tensors |= {f"self.{n}": p for n, p in owner.named_parameters(recurse=False)}
            if most == ROTATIONS:
                tensors |= {f"self.{n}": b for n, b in owner.named_buffers(recurse=False)}
        key = (function_key(function), id(owner) if owner is not None else id(context), tuple(sorted(tensors)))
        size = sum(t.numel() * 4 for t in (*tensors.values(), *outputs))
        too_large = any(t.numel() > LARGEST for t in (*tensors.values(), *outputs))
        everywhere = (key[0], 0, key[2])
        limit = most if owner is not None or self.counts.get(everywhere, 0) < most else 1
        if self.counts.get(key, 0) >= limit or too_large or self.bytes + size > BUDGET:
            return
        for k in {key, everywhere}:
            self.counts[k] = self.counts.get(k, 0) + 1
        self.bytes += size
        stem = f"call.{len(self.calls)}"
        names = {k: self.store(f"{stem}.{k}", v) for k, v in tensors.items()}
        plain = {k: v for k, v in values.items() if v is None or isinstance(v, (bool, int, float, str))}
        path = ""
        if owner is not None:
            self.modules[id(owner)] = owner
            path = f"#{id(owner)}"  # becomes the module's path when the trace is written
        stored = tuple(self.store(f"{stem}.out{i or ''}", o) for i, o in enumerate(outputs))
        self.calls.append(SampleCall(key[0], path, names, plain, stored))
        self.contexts.append(context)

    def store(self, name: str, tensor: torch.Tensor) -> str:
        self.tensors[name] = tensor.detach().clone().contiguous()
        return name
