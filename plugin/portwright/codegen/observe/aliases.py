"""Watch in-place changes: one that something else goes on to see cannot be a new value under the same name.

MLX has no views, so the port turns `x += y` into a new x. That is right as long as nobody reads the changed memory
under another name: a base, a view, the caller's variable. Whoever does is caught here, at the read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from portwright.codegen.observe.contexts import Context

SEEN = "_portwright_since"  # how many changes had happened when a tensor was first seen
LARGEST = 1 << 20  # elements whose places in memory are compared one by one


class Change(NamedTuple):
    """One change in place."""

    when: int
    context: Context
    number: int  # of the statement or call that made it
    name: str  # that the port binds to the new value, "" for none
    tensor: torch.Tensor  # kept, so that its memory is not given to another


class Aliases:
    """All changes of one observation."""

    def __init__(self) -> None:
        self.now = 0
        self.changes: dict[int, list[Change]] = {}
        self.weights: dict[int, torch.Tensor] = {}  # memory of parameters: what is put there is loaded later anyway
        self.bound: dict[tuple[int, str], int] = {}

    def bind(self, context: Context, names: tuple[str, ...]) -> None:
        """Names that have just been bound: they stand for what their value is now."""
        for name in names:
            self.bound[id(context), name] = self.now

    def change(self, context: Context, number: int, name: str, tensor: torch.Tensor) -> None:
        if self.is_weight(tensor):
            return
        self.now += 1
        found = Change(self.now, context, number, name, tensor)
        self.changes.setdefault(memory(tensor), []).append(found)

    def is_weight(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in a parameter's memory."""
        return memory(tensor) in self.weights

    def meet(self, value: Any) -> None:
        """A tensor that is first seen now cannot have been changed before."""
        if isinstance(value, torch.Tensor) and not hasattr(value, SEEN):
            setattr(value, SEEN, self.now)

    def read(self, context: Context, tensor: torch.Tensor, name: str) -> None:
        """Mark the changes that this reading of a tensor sees, and that the port's value would not have."""
        if isinstance(tensor, torch.nn.Parameter):
            self.weights.setdefault(memory(tensor), tensor)
        self.meet(tensor)
        changes = self.changes.get(memory(tensor)) if self.changes else None
        if not changes:
            return
        known = self.bound.get((id(context), name)) if name else None
        since: int = getattr(tensor, SEEN) if known is None else known
        for c in changes:
            if c.when <= since or (c.context is context and c.name == name and name):
                continue
            if c.tensor is tensor and known is None:
                continue  # it may have been stored after the change
            if c.tensor is tensor or overlap(c.tensor, tensor):
                c.context.aliased.add(c.number)


def memory(tensor: torch.Tensor) -> int:
    """The address of the memory that a tensor lies in."""
    try:
        return int(tensor.untyped_storage().data_ptr())
    except (RuntimeError, NotImplementedError):
        return 0


def places(tensor: torch.Tensor) -> torch.Tensor:
    """The place of each element in its memory."""
    out = torch.full((1,), tensor.storage_offset(), dtype=torch.int64)
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        out = (out[:, None] + torch.arange(size) * stride).flatten().unique()
    return out


def overlap(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors of one memory share an element; large ones are taken to."""
    if a.numel() > LARGEST or b.numel() > LARGEST:
        return True
    return bool(torch.isin(places(a), places(b)).any())


def versions(values: tuple[Any, ...]) -> list[tuple[torch.Tensor, int]]:
    """The tensors among a call's arguments, with the number of changes that each has had."""
    return [(v, v._version) for v in values if isinstance(v, torch.Tensor) and not v.is_inference()]
