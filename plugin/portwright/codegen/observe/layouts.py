"""Tag the tensors that the port will hold channels-last: what convolutions make, and what keeps its axes."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from portwright.codegen.observe.resolve import resolve

TAG = "_portwright_layout"
MADE_BY = "_portwright_made_by"  # (function key, node number) of the expression that made a tensor
CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
# Operations whose result has other axes than their input, even where the rank stays the same.
RESHAPING = frozenset(
    [
        "view",
        "reshape",
        "permute",
        "transpose",
        "swapaxes",
        "swapdims",
        "flatten",
        "unflatten",
        "movedim",
        "moveaxis",
        "expand",
        "matmul",
        "bmm",
        "linear",
        "einsum",
        "stack",
        "t",
        "__get__",
        "outer",
        "unfold",
        "fold",
        "embedding",
        "layer_norm",
        "scaled_dot_product_attention",
        "diff",
        "select",
        "roll",
        "tile",
        "__matmul__",
        "__rmatmul__",
        "baddbmm",
        "view_as",
        "reshape_as",
        "expand_as",
        "broadcast_to",
        "rms_norm",
        "glu",
        "multi_head_attention_forward",
        "_native_multi_head_attention",
        "lstm",
        "gru",
        "rnn_tanh",
        "rnn_relu",
        "rot90",
        "as_strided",
        "tensordot",
        "kron",
        "T",
        "mT",
    ]
)


def tensors_in(values: Any) -> list[torch.Tensor]:
    flat = [t for v in values for t in (v if isinstance(v, (list, tuple)) else [v])]
    return [t for t in flat if isinstance(t, torch.Tensor)]


LAST = "_portwright_last"  # what the reference itself holds channels-last: the port holds it just so
ALONG_LAST = frozenset({"linear", "layer_norm", "rms_norm"})  # of what reshapes: these work on the last axis in place


def moves_last(name: str, args: Any) -> bool:
    """`x.permute(0, 2, 3, 1)` of a value that the port holds channels-last."""
    if name not in ("permute", "movedim", "moveaxis") or getattr(args[0], TAG, "") != "cl":
        return False
    axes = args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else args[1:]
    rank = args[0].ndim
    if name == "permute":
        return tuple(axes) == (0, *range(2, rank), 1)
    return tuple(axes) in ((1, -1), (1, rank - 1))


def keep_last(name: str, args: Any, inputs: Any, result: Any) -> None:
    """Mark what the reference holds channels-last, and what is computed from it on the same axes."""
    if not isinstance(result, torch.Tensor) or getattr(result, TAG, "") == "cl" or any(result is i for i in inputs):
        return
    held = any(hasattr(i, LAST) and i.ndim == result.ndim for i in inputs)
    if (args and moves_last(name, args)) or (held and (name not in RESHAPING or name in ALONG_LAST)):
        setattr(result, LAST, True)


KEEPING = frozenset({"squeeze", "unsqueeze"})  # what keeps the channels second where it touches later axes only


def axes_kept(name: str, args: Any, kwargs: Any, result: Any) -> None:
    """Tag a squeezed or expanded value whose first two axes stay."""
    x, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim")
    if getattr(x, TAG, "") != "cl" or not isinstance(dim, int) or result is x or result.ndim not in (3, 4, 5):
        return
    place = dim % (x.ndim + (name == "unsqueeze"))
    if place > 1 and (result.ndim != x.ndim):
        setattr(result, TAG, "cl")


PARTING = frozenset({"chunk", "split", "tensor_split", "split_with_sizes"})  # one tensor in, a tuple of its parts out


def parts(function: Any, result: Any) -> tuple[Any, ...]:
    """What one call made: the parts of a tensor, which have its axes, or the result as it is."""
    parted = type(result) is tuple and getattr(function, "__name__", "") in PARTING and resolve(function).torch
    return result if parted else (result,)


def inherit(part: Any, inputs: tuple[Any, ...]) -> None:
    """A part of a tensor is held as the whole is: whoever made the whole made it."""
    whole = next((t for t in tensors_in(inputs) if hasattr(t, MADE_BY) and t.ndim == part.ndim), None)
    if whole is not None and not hasattr(part, MADE_BY):
        setattr(part, MADE_BY, getattr(whole, MADE_BY))


HELD = "_portwright_held"  # buffers that a checkpoint holds: they keep the reference's layout, as parameters do


def register(function: Any, args: tuple[Any, ...], kwargs: Any) -> None:
    """Mark what `register_buffer` takes to be saved."""
    persistent = args[2] if len(args) > 2 else kwargs.get("persistent", True)
    if getattr(function, "__name__", "") != "register_buffer" or not persistent:
        return
    for tensor in tensors_in((*args, *kwargs.values())):
        setattr(tensor, HELD, True)
        for mark in (MADE_BY, TAG):
            if hasattr(tensor, mark):
                delattr(tensor, mark)


def behind(function: Any, inputs: tuple[Any, ...], result: Any) -> set[tuple[str, int]]:
    """The makers of a function's inputs, where it keeps the layout and its result is held channels-last."""
    name = getattr(function, "__name__", "")
    result = parts(function, result)[0]
    if not isinstance(result, torch.Tensor) or getattr(result, TAG, "") != "cl" or name in RESHAPING | KEEPING:
        return set()
    inputs = inputs[:1] if name in CONVOLUTIONS else inputs  # its weight has a layout of its own
    made = [t for t in tensors_in(inputs) if t.ndim == result.ndim and not getattr(t, TAG, "") and not hasattr(t, LAST)]
    makers = {getattr(t, MADE_BY, None) for t in made}
    return {m for m in makers if m is not None and m[1] >= 0}


def takes_positions(args: Any) -> bool:
    """`x[:, :, i]`: the first two axes stay whole, numbers and slices pick from the others."""
    index = args[1]
    if not isinstance(index, tuple) or len(index) < 3 or args[0].ndim < 4:
        return False
    return index[:2] == (slice(None), slice(None)) and all(isinstance(i, (int, slice)) for i in index[2:])


def untagged(value: Any) -> Any:
    """The same tensors as new objects that are held channels-first: what crosses a boundary that users see."""
    if isinstance(value, torch.Tensor):
        return value.view(value.shape) if hasattr(value, TAG) or hasattr(value, MADE_BY) else value
    if type(value) in (list, tuple):
        return type(value)(untagged(v) for v in value)
    if hasattr(value, "to_tuple") and hasattr(value, "items"):
        for name, inner in list(value.items()):
            if isinstance(inner, torch.Tensor):
                value[name] = untagged(inner)
    return value


def stored(whole: Any, value: Any) -> set[tuple[str, int]]:
    """The maker of the one of two that is not held channels-last, where the other is: an item is held as the whole."""
    if not isinstance(value, torch.Tensor) or value.ndim != whole.ndim:
        return set()
    pair = [t for t in (whole, value) if not getattr(t, TAG, "") and not hasattr(t, LAST)]
    maker = getattr(pair[0], MADE_BY, None) if len(pair) == 1 else None
    return {maker} if maker is not None else set()


class TagLayouts(TorchFunctionMode):  # type: ignore[misc]  # torch ships no types here
    """Tag results as torch functions run.

    When a tagged operation meets an untagged tensor of the same rank, the expression that made that tensor is put in
    `wanted`: observation is then repeated with its value tagged from the start.
    """

    def __init__(self, wanted: set[tuple[str, int]]) -> None:
        super().__init__()
        self.wanted = wanted

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        convolution = name in CONVOLUTIONS
        inputs = tensors_in((*args, *(kwargs or {}).values()))
        keep_last(name, args, inputs, result)
        if name == "__setitem__":
            self.wanted |= stored(args[0], args[2])
            return result
        if not convolution and name in RESHAPING:
            return result
        if name in KEEPING:
            axes_kept(name, args, kwargs or {}, result)
            return result
        tagged = [t for t in inputs if getattr(t, TAG, "") == "cl"]
        if not convolution and not tagged:
            return result
        for t in tensors_in([result]) if not isinstance(result, tuple) else tensors_in(result):
            fresh = not any(t is i for i in inputs) and not isinstance(t, torch.nn.Parameter)
            kept = name == "__getitem__" and takes_positions(args)
            if not fresh or t.ndim not in (3, 4, 5) or not (convolution or kept or t.ndim == tagged[0].ndim):
                continue
            if name == "repeat" and len(inputs) == 1 and t.ndim != tagged[0].ndim:
                continue
            setattr(t, TAG, "cl")
            for u in [args[0]] if convolution and args else inputs:
                maker = getattr(u, MADE_BY, None)
                if maker is None or u.ndim != t.ndim or getattr(u, TAG, "") or hasattr(u, LAST):
                    continue
                if not convolution or maker[1] >= 0:  # an argument of the model is brought in at the convolution
                    self.wanted.add(maker)
        return result
