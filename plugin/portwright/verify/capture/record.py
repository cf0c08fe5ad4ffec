"""Run the reference on a probe and record what every module with parameters was given and gave."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from portwright.verify import tree
from portwright.verify.capture.store import TensorStore

CALLS = 3  # per module and probe: shared layers are called once a layer, and the first few say enough


def is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def holders(model: nn.Module) -> list[str]:
    """Paths of the modules that hold parameters or persistent buffers, themselves or below; the root is left out."""
    return [path for path, module in model.named_modules() if path and module.state_dict()]


def tables(model: nn.Module) -> list[str]:
    """Paths of modules that hold only tables which are not saved, such as rotary frequencies: only followed."""
    return [
        path
        for path, module in model.named_modules()
        if path and next(module.buffers(), None) is not None and not module.state_dict()
    ]


@dataclass
class Call:
    """One call of one module: argument nodes by name in order, and the result's node."""

    module: str
    probe: int
    index: int  # counts this module's calls within the probe
    args: dict[str, tree.Node]
    out: tree.Node = field(default_factory=dict)
    dtypes: dict[str, list[str]] = field(default_factory=dict)  # dtype of the run -> dtypes of the outputs
    noise: dict[str, dict[str, float]] = field(default_factory=dict)  # dtype -> distance, module alone
    flow: dict[str, dict[str, float]] = field(default_factory=dict)  # dtype -> distance, in the whole run

    @property
    def opaque(self) -> bool:
        return any(map(tree.holds_opaque, self.args.values()))


@dataclass
class Recording:
    """All calls of one run in the order in which they were completed, children before their parents."""

    calls: list[Call]
    result: Any


OnCall = Callable[[str, int, Any], None]


@contextmanager
def hooked(model: nn.Module, paths: list[str], before: OnCall | None, after: OnCall) -> Iterator[None]:
    """Tell `after(path, n, output)` of each call's end, and `before(path, n, (args, kwargs))` of its start."""
    handles, started, ended = [], dict.fromkeys(paths, 0), dict.fromkeys(paths, 0)
    modules = dict(model.named_modules())

    def attach(path: str) -> None:
        def pre(module: nn.Module, args: Any, kwargs: Any) -> None:
            if before is not None:
                before(path, started[path], (args, kwargs))
            started[path] += 1

        def post(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            after(path, ended[path], output)  # returns nothing: a returned value would replace the output
            ended[path] += 1

        handles.append(modules[path].register_forward_pre_hook(pre, with_kwargs=True))
        handles.append(modules[path].register_forward_hook(post, with_kwargs=True))

    for path in paths:
        attach(path)
    try:
        with torch.no_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()


def named_arguments(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of the module's `forward`, in its order; `*args` become "*0", "*1"."""
    signature = inspect.signature(inspect.unwrap(type(module).forward))
    bound = signature.bind(module, *args, **kwargs)
    named: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            named |= {f"*{i}": item for i, item in enumerate(value)}
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named |= value
        else:
            named[name] = value
    return named


def call_with(module: nn.Module, named: dict[str, Any]) -> Any:
    """Call a module with arguments that `named_arguments` gave."""
    positional = [v for k, v in named.items() if k.startswith("*")]
    return module(*positional, **{k: v for k, v in named.items() if not k.startswith("*")})


def record(model: nn.Module, probe: int, arguments: dict[str, Any], paths: list[str], store: TensorStore) -> Recording:
    """Run the model and keep up to CALLS calls of each module in `paths`; tensors go to the store."""
    modules = dict(model.named_modules())
    open_calls: dict[tuple[str, int], Call] = {}
    done: list[Call] = []

    def before(path: str, n: int, given: Any) -> None:
        if n < CALLS:
            named = named_arguments(modules[path], *given)
            args = {name: tree.encode(value, is_tensor, store.add) for name, value in named.items()}
            open_calls[path, n] = Call(path, probe, n, args)

    def after(path: str, n: int, output: Any) -> None:
        call = open_calls.pop((path, n), None)
        if call is not None:
            call.out = tree.encode_result(output, is_tensor, store.add)
            call.dtypes["float32"] = [
                str(t.dtype).removeprefix("torch.") for t in tree.flatten(output, is_tensor).values()
            ]
            done.append(call)

    with hooked(model, paths, before, after):
        result = model(**arguments)
    return Recording(done, result)
