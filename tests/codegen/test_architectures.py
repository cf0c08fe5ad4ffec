"""Ports of library architectures: no text of theirs is kept here, only digest, size and error figures."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
from bench import bench
from grade import worst

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "architectures.json").read_text())
FAST = [n for n, entry in TABLE.items() if entry["fast"]]
SLOW = [n for n, entry in TABLE.items() if not entry["fast"] and "figures" in entry]


def check(name: str, report: dict[str, Any]) -> None:
    """Zero holes, 1e-5 on unobserved probes and configs; the same text where the libraries are the recorded ones."""
    figures = TABLE[name]["figures"]
    assert report.get("holes") == [], report.get("holes", report.get("error"))
    assert worst(report) < TABLE[name].get("tolerance", 1e-5), report["figures"]
    if all(importlib.metadata.version(k) == v for k, v in figures["libraries"].items()):
        kept = {k: figures[k] for k in ("digest", "classes", "lines")}
        assert {k: report[k] for k in kept} == kept, "read the diff, then run regenerate.py architectures"


def test_encoders_port_without_holes(tmp_path: Path) -> None:
    """A text encoder of two kinds and a vision transformer port by the same code, also on a config never observed."""
    for name, report in zip(FAST, bench([TABLE[n]["case"] for n in FAST], tmp_path), strict=True):
        check(name, report)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_architecture_ports_without_holes(name: str, tmp_path: Path) -> None:
    """Each recorded architecture ports with zero holes and the recorded text."""
    check(name, bench([TABLE[name]["case"]], tmp_path)[0])
