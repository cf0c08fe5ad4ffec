"""A port generated from one config, met with every other config of its architecture (see generality.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from generality import architectures, findings, generality

TABLE = architectures()
FAST = "distil"


def check(report: dict[str, Any]) -> None:
    """Each changed config gives the reference's numbers or an error that names the field; both do occur."""
    assert report["error"] is None
    assert report["holes"] == []
    assert findings(report) == []
    verdicts = [v.get("verdict") for v in report["variants"]]
    assert verdicts.count("parity") >= 8


def test_a_port_is_right_or_refuses_on_every_changed_config(tmp_path: Path) -> None:
    """Widths, flags, names and optional fields, one at a time: never a wrong number."""
    report = generality([TABLE[FAST]], tmp_path)[0]
    check(report)
    assert any(v.get("verdict") == "refused" for v in report["variants"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in TABLE if n != FAST])
def test_architecture_is_right_or_refuses_on_every_changed_config(name: str, tmp_path: Path) -> None:
    """The same for each recorded architecture."""
    check(generality([TABLE[name]], tmp_path)[0])
