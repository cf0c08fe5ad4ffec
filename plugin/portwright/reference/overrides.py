"""What a caller says about inputs that cannot be inferred: values, shapes, exact tensors, in lists and dicts too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from portwright.reference.named_inputs import Sizes, field

SAYS = ("shape", "values", "choices")  # a mapping with one of these keys describes an input


def flattened(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides with dotted names for the tensors that lie in lists and dicts: `[{"shape": ..}]` is `name.0`."""
    out: dict[str, Any] = {}
    for name, value in overrides.items():
        if describes(value) or not holds_description(value):
            out[name] = value
        else:
            entries = value.items() if isinstance(value, Mapping) else enumerate(value)
            out |= flattened({f"{name}.{key}": inner for key, inner in entries})
    return out


def describes(value: Any) -> bool:
    """Whether a value describes one input rather than being one."""
    return isinstance(value, Mapping) and any(key in value for key in SAYS)


def holds_description(value: Any) -> bool:
    if describes(value):
        return True
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(holds_description(v) for v in inner)


def holders(given: Mapping[str, Any]) -> set[str]:
    """The arguments that flat names belong to."""
    return {name.split(".")[0] for name in given}


def taken(
    given: Mapping[str, Any], model: torch.nn.Module, sizes: Sizes, g: torch.Generator
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the plain values that flat overrides say, for one probe's sizes."""
    tensors: dict[str, torch.Tensor] = {}
    kwargs: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, Mapping) and "choices" in value:
            kwargs[name] = value["choices"][sizes.variant % len(value["choices"])]
        elif describes(value):
            tensors[name] = drawn(sized(value, model, sizes), g)
        elif value is not None:
            kwargs[name] = value
    return tensors, kwargs


def sized(spec: Mapping[str, Any], model: torch.nn.Module, sizes: Sizes) -> dict[str, Any]:
    """A spec with plain sizes: "batch", "length" (of its token ids), a config field's name, a multiple of one such as
    "4*batch", or a list of which each probe takes the next.
    """
    config = getattr(model, "config", None)

    def size(value: Any) -> int:
        if isinstance(value, (list, tuple)):
            return size(value[sizes.variant % len(value)])
        if not isinstance(value, str):
            return int(value)
        times, _, name = value.rpartition("*")
        known = {"batch": sizes.batch, "length": sizes.length}
        return int(times or 1) * int(known[name] if name in known else field(config, name))

    if "values" in spec:
        return {**spec, "rows": sizes.batch if spec.get("batch") else 0}
    full = sizes.variant == 1  # one probe's masks pad nothing: some models go another way then
    return {**spec, "shape": [size(v) for v in spec["shape"]], "full": full}


def drawn(spec: Mapping[str, Any], g: torch.Generator) -> torch.Tensor:
    """A random tensor of `{"shape": [...], "dtype": "float32", "high": 10}`; `"padded"` gives masks of ones.

    `{"values": [...]}` is the tensor itself; with `"batch": true` every row of the batch has these values.
    `"run": [start, count, value]` sets some entries of each row, such as the tokens that stand for an image.
    """
    if "run" in spec:
        start, count, value = spec["run"]
        whole = drawn({k: v for k, v in spec.items() if k != "run"}, g)
        whole[..., start : start + count] = value
        return whole
    dtype = getattr(torch, spec.get("dtype", "float32"))
    if "values" in spec:
        exact = torch.tensor(spec["values"], dtype=dtype)
        return exact.expand(spec["rows"], *exact.shape).contiguous() if spec.get("rows") else exact
    shape = tuple(spec["shape"])
    if spec.get("padded"):
        lengths = [max(1, shape[-1] - (0 if spec.get("full") else 2 * row)) for row in range(shape[0])]
        rows = torch.stack([torch.arange(shape[-1]) < n for n in lengths])
        return rows.view(shape[0], *[1] * (len(shape) - 2), shape[-1]).expand(shape).to(dtype).contiguous()
    if dtype == torch.bool:
        return torch.rand(shape, generator=g) > 0.4
    if dtype.is_floating_point:
        return torch.randn(shape, generator=g).to(dtype)
    return torch.randint(spec.get("low", 0), spec.get("high", 2), shape, generator=g).to(dtype)
