"""Model outputs in dicts, changed after they are made, there or not: ported, and right on what no run showed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zoo import classes, verdict, zoo

CLASSES = classes(["outputs"])


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return zoo(CLASSES, tmp_path_factory.mktemp("outputs"))


@pytest.mark.parametrize("title", [c for _, c in CLASSES])
def test_outputs_are_the_references(title: str, reports: dict[str, Any]) -> None:
    """Each small module is ported whole; another config is right or refused by name."""
    report = reports[f"outputs:{title}"]
    said, lines = verdict(report)
    assert report["holes"] == [] and said != "WRONG", lines
    assert any("errors" in figure for figure in report["figures"])


def test_a_dict_of_outputs_becomes_names(reports: dict[str, Any]) -> None:
    """The port holds no dict, and a key that no run filled leaves nothing behind."""
    text = (Path(reports["outputs:OutputsByKey"]["port"]) / "model.py").read_text()
    assert "encoded_image" in text and "encoded.get(" not in text and "sound" not in text
