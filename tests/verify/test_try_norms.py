"""Norms are fed on their own in the layout and by the name that the port gives them."""

from pathlib import Path

import pytest
from portwright.tryport import run_try

FIXTURES = Path(__file__).parent / "fixtures"


def test_channel_norms_and_rms_norm_are_isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Batch and group norms keep channels last in MLX, and torch's RMSNorm calls its argument x: none diverges."""
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))
    config = tmp_path / "config.json"
    config.write_text('{"kwargs": {"channels": 8, "groups": 2}}', encoding="utf-8")
    result = run_try("reference_norms:NormNet", config, out=tmp_path / "out")
    assert (result.status, result.first_divergence) == ("ported", None)
    assert result.modules_compared == 5
