"""The architectures that this project promises: a quarter of them with each commit, all with one command."""

from __future__ import annotations

from pathlib import Path

from architectures import QUARTERS, architectures, fails, of_quarter, quarter
from bench import bench


def test_the_quarters_are_the_whole_list() -> None:
    """Four commits in a row, if their hashes say so, run every architecture that is not extra."""
    listed = [name for name, case in architectures().items() if not case["extra"]]
    assert sorted(c["name"] for q in range(QUARTERS) for c in of_quarter(q)) == sorted(listed)
    assert len(listed) >= 46


def test_a_quarter_of_the_architectures_ports(tmp_path: Path) -> None:
    """Zero holes and within tolerance: on observed inputs, on others, and on a config that nothing observed."""
    cases = of_quarter(quarter())
    reports = bench(cases, tmp_path)
    wrong = {c["name"]: fails(r) for c, r in zip(cases, reports, strict=True) if fails(r)}
    assert wrong == {}
