"""Record the module tree of an observed model: tensors, plain attributes, and answers of activations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from portwright.codegen.observe.policy import is_rewritten
from portwright.codegen.observe.resolve import python_function
from portwright.codegen.observe.samples import Sampler
from portwright.codegen.observe.seeing import Seeing
from portwright.codegen.ramp import RAMP
from portwright.codegen.trace import ModelTrace, ModuleTrace, TensorSlot


class Paths:
    """Names module instances as "<model index>:<path>", and "loose:<number>" what no model holds."""

    def __init__(self, models: Sequence[torch.nn.Module]) -> None:
        self.names = {id(m): f"{i}:{path}" for i, model in enumerate(models) for path, m in model.named_modules()}
        self.loose: list[torch.nn.Module] = []  # made where they are called, such as activations from a registry

    def of(self, module: torch.nn.Module) -> str:
        found = self.names.get(id(module))
        if found is None and next(module.parameters(), None) is None:
            found = self.names[id(module)] = f"loose:{len(self.loose)}"
            self.loose.append(module)
        return found or ""


def dtype_name(t: torch.Tensor) -> str:
    return str(t.dtype).removeprefix("torch.")


TORCHS_OWN = frozenset(vars(torch.nn.Module()))


def slots(module: torch.nn.Module) -> tuple[TensorSlot, ...]:
    """Its own parameters, buffers and tensor attributes."""

    def slot(name: str, t: torch.Tensor, role: str) -> TensorSlot:
        return TensorSlot(name, tuple(t.shape), dtype_name(t), role)

    out = [slot(n, p, "parameter") for n, p in module.named_parameters(recurse=False, remove_duplicate=False)]
    for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
        role = "temporary" if name in module._non_persistent_buffers_set else "buffer"
        out.append(slot(name, buffer, role))
    held = [(n, first_tensor(v)) for n, v in vars(module).items() if n not in TORCHS_OWN]
    out += [slot(n, v, "attribute") for n, v in held if v is not None]
    return tuple(out)


def first_tensor(value: object) -> torch.Tensor | None:
    """A tensor that is an attribute, or the first in a list of them: MLX takes lists of arrays for parameters too."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, torch.Tensor) for v in value):
        value = value[0]
    return value if isinstance(value, torch.Tensor) else None


def numbers(module: torch.nn.Module) -> dict[str, Any]:
    """Its plain attributes."""
    plain = (bool, int, float, str)
    out: dict[str, Any] = {}
    for name, value in vars(module).items():
        if name.startswith("_") or name == "training":
            continue
        if value is None or isinstance(value, plain):
            out[name] = value
        elif isinstance(value, (tuple, list)) and all(isinstance(v, plain) for v in value):
            out[name] = list(value)
        elif isinstance(value, dict) and all(isinstance(v, plain) for v in (*value, *value.values())):
            out[name] = dict(value)
    return out


def response(module: torch.nn.Module, sampler: Sampler) -> str:
    """The sample key of a leaf module's answer to a ramp; "" where it has weights or changes the shape."""
    forward = python_function(type(module).forward)
    if forward is None or is_rewritten(forward) or next(module.parameters(), None) is not None:
        return ""
    if next(module.buffers(), None) is not None or next(module.children(), None) is not None:
        return ""
    ramp = torch.tensor(RAMP)
    try:
        with torch.no_grad():
            answer = module(ramp.clone())
            wide = module(ramp.reshape(1, 1, -1).clone())
    except Exception:
        return ""
    if not isinstance(answer, torch.Tensor) or answer.shape != ramp.shape or not answer.is_floating_point():
        return ""
    if wide.shape != (1, 1, ramp.numel()) or not torch.equal(wide.flatten(), answer):
        return ""  # not element-wise
    key = "ramp." + hashlib.sha256(answer.numpy().tobytes()).hexdigest()[:16]
    if key not in sampler.tensors:
        sampler.store(key, answer)
    return key


def loose_trace(paths: Paths, sampler: Sampler, class_of: Callable[[torch.nn.Module], str]) -> tuple[ModuleTrace, ...]:
    """The modules without weights that no model holds."""
    return tuple(
        ModuleTrace(str(i), class_of(m), numbers=numbers(m), response=response(m, sampler))
        for i, m in enumerate(paths.loose)
    )


def model_trace(
    model: torch.nn.Module,
    config: Mapping[str, Any],
    sampler: Sampler,
    class_of: Callable[[torch.nn.Module], str],
    passed: Mapping[int, tuple[Seeing, Seeing]],
) -> ModelTrace:
    """Everything about one built model; `class_of` gives the class key of a module, `passed` what went through it."""
    paths = {m: path for path, m in model.named_modules()}
    modules = tuple(
        ModuleTrace(
            path=path,
            cls=class_of(m),
            tensors=slots(m),
            numbers=numbers(m),
            children=tuple(n for n, _ in m.named_children()),
            response=response(m, sampler),
            passed=tuple(s.frozen(lambda _: "") for s in passed.get(id(m), ())),
        )
        for path, m in model.named_modules(remove_duplicate=False)
        if paths.get(m) == path or next(m.parameters(), None) is None  # a shared activation stands in many places
    )
    by_tensor: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        by_tensor.setdefault(p.data_ptr(), []).append(name)
    state = {k: (dtype_name(v), tuple(v.shape)) for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)}
    tied = tuple(tuple(names) for names in by_tensor.values() if len(names) > 1)
    return ModelTrace(dict(config), modules, state, tied)
