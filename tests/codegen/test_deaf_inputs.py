"""An input that moves the reference's outputs and none of the port's is a divergence, whatever the numbers said."""

from __future__ import annotations

from typing import Any

import pytest
from portwright.tryport import TryResult, judge


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("mask: moves an output of the reference and none of the port", "diverged"),
        ("mask: no probe's output depends on it: unobserved", "ported"),
    ],
)
def test_an_input_that_the_port_ignores(said: str, status: str) -> None:
    """What no probe shows to matter is only told."""
    check = {"metric": "mismatches", "value": 1, "noise": 0, "origin": "exact", "detail": said}
    body: dict[str, Any] = {"outputs": [], "checks": {"sensitivity/inputs": check}, "order": [], "not_run": []}
    result = TryResult("module:Class")
    judge(result, body)
    assert result.status == status
    assert status == "ported" or result.first_divergence == {"where": "sensitivity/inputs", "detail": said}
