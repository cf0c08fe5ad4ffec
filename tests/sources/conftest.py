"""Fixtures of the source tests: a cache of their own, a wheel, and a pip that sees nothing but it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from wheels import FILES, build_wheel


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache folder."""
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """An honest wheel with a tiny model in it."""
    return build_wheel(tmp_path / "wheelhouse", FILES)


@pytest.fixture
def offline_pip(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pip whose only index is the folder of `wheel`; gives that folder."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    yield wheel.parent


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests away from the user's caches and tokens."""
    monkeypatch.setenv("PORTWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
