"""Ports of our own modules: the text is the expected one, and its numbers are the reference's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench import bench
from grade import worst

CASES = sorted(p.parent for p in (Path(__file__).parent / "cases").glob("*/reference.py"))


def load(folder: Path) -> dict[str, Any]:
    case = json.loads((folder / "config.json").read_text())
    return {"reference": f"reference:{case['class']}", "configs": case["configs"], "path": str(folder)}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    spelled_out = {**load(next(c for c in CASES if c.name == "attention")), "without": ["norms", "attention"]}
    found = bench([*[load(c) for c in CASES], spelled_out], tmp_path_factory.mktemp("cases"))
    return dict(zip([*[c.name for c in CASES], "attention without idioms"], found, strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_generated_text_is_the_expected_one(case: Path, reports: dict[str, Any]) -> None:
    """Each case's port is, letter for letter, the model.py beside its reference (regenerate.py rewrites them)."""
    got = (Path(reports[case.name]["port"]) / "model.py").read_text()
    assert got == (case / "model.py").read_text()


@pytest.mark.parametrize("case", [c for c in CASES if c.name != "hole"], ids=lambda c: c.name)
def test_port_gives_the_reference_numbers(case: Path, reports: dict[str, Any]) -> None:
    """A port equals its reference on unobserved inputs and configs, or refuses a config by the flag's name."""
    report = reports[case.name]
    assert report["holes"] == []
    refused = {f["config"]: f["refused"] for f in report["figures"] if "refused" in f}
    for index, text in refused.items():
        changed = load(case)["configs"][index]["kwargs"]
        assert any(flag in text for flag in changed), text
    assert worst({"figures": [f for f in report["figures"] if "refused" not in f]}) < 5e-6


def test_a_hole_is_listed_with_its_source_and_raises(reports: dict[str, Any]) -> None:
    """What has no translation is one named hole, quoted; a hole in a value that nothing reads is none."""
    report = reports["hole"]
    assert [(h["source"], "of slices" in h["reason"]) for h in report["holes"]] == [
        ("positive = torch.unique(x, dim=0)", True)
    ]
    assert all("NotImplementedError: positive = torch.unique(x, dim=0)" in f["failed"] for f in report["figures"])


def test_a_flag_that_was_seen_one_way_is_refused(reports: dict[str, Any]) -> None:
    """A config that needs code which no run reached is refused at construction, never computed wrongly."""
    refused = [f["refused"] for f in reports["config_flag"]["figures"] if "refused" in f]
    assert any("gated=False" in t for t in refused)


def test_idioms_can_be_switched_off(reports: dict[str, Any]) -> None:
    """Without the norm and attention idioms the port spells them out, and its numbers are right all the same."""
    report = reports["attention without idioms"]
    text = (Path(report["port"]) / "model.py").read_text()
    assert "mx.fast" not in text and "nn.RMSNorm" not in text and "mx.softmax" in text
    assert report["holes"] == []
    assert worst(report) < 5e-6
