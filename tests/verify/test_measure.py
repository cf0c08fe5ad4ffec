"""A right port passes every check, and the figures are what the gate needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from portwright.verify.battery import check_ids
from portwright.verify.blame import blame, failing
from verifylab import measure


@pytest.mark.parametrize("network", ["text", "picture"])
def test_a_right_port_passes_everything(network: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A hand-written port of the same network is within tolerance everywhere, and nothing is left unmeasured."""
    made: SimpleNamespace = request.getfixturevalue(network)
    body = measure(made.port, made.golden, tmp_path / "m.json")
    assert failing(body) == []
    assert blame(body) is None
    assert body["not_run"] == []
    assert set(body["checks"]) == set(check_ids(body["facts"]))
