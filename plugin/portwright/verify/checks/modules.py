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


def arguments(
    call: Call, entry: Mapping[str, Any], golden: Golden, floats: Any, paths: Mapping[str, Any] | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """The port's arguments: the reference's own, in order and in the port's layout; by name behind one left out.

    `made_by` names a module of the port (one of `paths`) that makes what the reference has in another form.
    """
    given: list[Any] = []
    named: dict[str, Any] = {}
    left_out = False
    for argument in entry.get("args", []):
        name = argument["name"]
        if argument.get("none"):
            put(given, named, name, None, left_out)
            continue
        if argument.get("made_by") in (paths or {}):
            put(given, named, name, (paths or {})[argument["made_by"]](), left_out)
            continue
        if name not in call.args:
            left_out = True  # it keeps its default
            continue
        try:
            value = tree.decode(call.args[name], golden.tensor)
        except TypeError as error:
            raise CannotCall(f"argument {name} is a {error}, which cannot be handed over") from None
        put(given, named, name, mlx_port.to_mlx(permuted(value, argument), floats), left_out)
    return given, named


def put(given: list[Any], named: dict[str, Any], name: str, value: Any, by_name: bool) -> None:
    """Add one argument, by position while that is possible."""
    if by_name:
        named[name] = value
    else:
        given.append(value)


def permuted(value: Any, layout: Mapping[str, Any]) -> Any:
    """Put every array of matching rank, also a nested one, into the layout of the port."""
    if isinstance(value, np.ndarray):
        perm = order_of(layout, value.ndim)
        return value.transpose(perm) if perm is not None else value
    if isinstance(value, (list, tuple)):
        return type(value)(permuted(v, layout) for v in value)
    return value


def order_of(layout: Mapping[str, Any], rank: int) -> list[int] | None:
    """The order of the axes that the portmap gives for an argument or result of a rank."""
    known = [*layout.get("perms", []), *([layout["perm"]] if "perm" in layout else [])]
    return next((perm for perm in known if len(perm) == rank), None)


def expected(call: Call, entry: Mapping[str, Any], golden: Golden) -> dict[str, Array]:
    """The reference's results that the port's module gives.

    The portmap's `out` lists the port's results in order; `element` says which element of the reference's result each
    is, where codegen left out those that nothing reads.
    """
    elements = [item["element"] for item in entry.get("out", []) if "element" in item]
    if not elements:
        return golden.result(call)
    ((kind, content),) = call.out.items()
    children = content
    if kind not in "lu" or max(elements) >= len(children):
        return golden.result(call)
    found: dict[str, Array] = {}
    for index in elements:
        value = tree.decode(children[index], golden.tensor)
        found |= tree.flatten(value, lambda v: isinstance(v, np.ndarray), f"{index:03d}")
    return found


def in_reference_layout(
    given: Mapping[str, Array], entry: Mapping[str, Any], wanted: Mapping[str, Array]
) -> dict[str, Array]:
    """Give the port's results, in order, the names that the reference's have, and turn them back to its layout."""
    names, layouts = list(wanted), entry.get("out", [])
    found: dict[str, Array] = {}
    for position, (own, array) in enumerate(given.items()):
        place = 0 if len(layouts) == 1 else int(own.partition(".")[0])  # of the result, or of the list that it is in
        layout = layouts[place] if place < len(layouts) else {}
        if position >= len(names) and layout.get("optional"):
            continue  # the reference makes it only where its caller asks for it
        name = names[position] if position < len(names) else f"extra {position}"
        perm = order_of(layout, array.ndim)
        found[name] = array.transpose(np.argsort(perm)) if perm is not None else array
    return found
