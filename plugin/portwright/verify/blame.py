"""Name the first place where a port leaves its reference. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portwright.verify.tolerance import headroom_for, verdict


def passes(measured: Mapping[str, Any]) -> bool:
    """Judge one raw figure of measurements.json by the standard headroom, with its element-wise view if it has one."""
    headroom = headroom_for(measured["metric"], measured["origin"])
    views = [measured]
    if "scaled_max" in measured:
        views.append({"metric": "scaled_max", "origin": measured["origin"], **measured["scaled_max"]})
    return all(verdict({**view, "headroom": headroom}).passed for view in views)


def failing(body: Mapping[str, Any]) -> list[str]:
    """The checks of measurements.json that fail, in its order."""
    return [check for check, measured in body["checks"].items() if not passes(measured)]


def blame(body: Mapping[str, Any]) -> str | None:
    """The module to look at first, or the failing check where no module fails; None where nothing fails.

    Modules are completed children first, so the first failing one in that order is the smallest and earliest: its
    parents fail after it only because of it.
    """
    failed = set(failing(body))
    for module in body["order"]:
        if f"isolate/{module}" in failed:
            return str(module)
    others = [check for check in body["checks"] if check in failed]
    for first in ("coverage/", "bijection/", "determinism/", "dtype/", "flow/", "outputs/"):
        for check in others:
            if check.startswith(first):
                return str(check)
    return others[0] if others else None
