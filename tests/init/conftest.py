"""An empty git repository with a tiny model beside it, and `portwright` to run there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.cli import Run, runner
from support.tiny import BERT, component


@pytest.fixture
def portwright(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository, the current folder, with the tiny source `weights`."""
    monkeypatch.setenv("PORTWRIGHT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "repo"
    component(folder / "weights", BERT)
    subprocess.run(["git", "init", "-q", folder], check=True)
    monkeypatch.chdir(folder)
    return folder
