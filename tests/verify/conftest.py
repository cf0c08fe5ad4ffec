"""Goldens and ports of the two fixture networks, captured once a session."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from verifylab import capture, make_port


def _made(name: str, folder: Path) -> SimpleNamespace:
    golden = capture(name, folder)
    return SimpleNamespace(golden=golden, port=make_port(name, golden, folder / "port"), folder=folder)


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The text encoder: `golden` and `port` directories."""
    return _made("text", tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The denoiser: `golden` and `port` directories."""
    return _made("picture", tmp_path_factory.mktemp("picture"))
