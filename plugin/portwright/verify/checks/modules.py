"""Carry a recorded call over to the port, and its answer back, by what the portmap says of arguments and layouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portwright.verify import tree
from portwright.verify.golden import Call, Golden
from portwright.verify.measure import port as mlx_port

Array = NDArray[Any]


class CannotCall(Exception):
    """Why a recorded call cannot be made on the port; the message is the reason."""


def arguments(call: Call, entry: Mapping[str, Any], golden: Golden, floats: Any) -> list[Any]:
    """The port's arguments in order: the reference's own, by name, in the port's layout."""
    given = []
    for argument in entry.get("args", []):
        name = argument["name"]
        if name not in call.args:
            break  # left at its default, and so must be those behind it
        try:
            value = tree.decode(call.args[name], golden.tensor)
        except TypeError as error:
            raise CannotCall(f"argument {name} is a {error}, which cannot be handed over") from None
        given.append(mlx_port.to_mlx(permuted(value, argument.get("perm")), floats))
    return given


def permuted(value: Any, perm: list[int] | None) -> Any:
    """Put every array of matching rank, also a nested one, into the layout of the port."""
    if perm is None:
        return value
    if isinstance(value, np.ndarray):
        return value.transpose(perm) if value.ndim == len(perm) else value
    if isinstance(value, (list, tuple)):
        return type(value)(permuted(v, perm) for v in value)
    return value


def in_reference_layout(
    given: Mapping[str, Array], entry: Mapping[str, Any], expected: Mapping[str, Array]
) -> dict[str, Array]:
    """Name the port's results as the reference names them, and turn them back to its layout.

    The portmap's `out` lists the port's results in order; `index` says which of the reference's one it is, where some
    are left out because nothing reads them.
    """
    names, layouts = list(expected), entry.get("out", [])
    found: dict[str, Array] = {}
    for position, array in enumerate(given.values()):
        layout = layouts[position] if position < len(layouts) else {}
        index = layout.get("index", position)
        name = names[index] if index < len(names) else f"extra {index}"
        perm = layout.get("perm")
        found[name] = array.transpose(np.argsort(perm)) if perm and array.ndim == len(perm) else array
    return found


def wanted(given: Mapping[str, Array], expected: Mapping[str, Array]) -> dict[str, Array]:
    """The reference's results that the port gives at all; codegen leaves out of a module's result what nobody reads."""
    kept = {name: array for name, array in expected.items() if name in given}
    return kept or dict(expected)
