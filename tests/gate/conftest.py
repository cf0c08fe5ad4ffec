"""Fixtures of the gate's tests: a git repository of their own, and no settings from around it."""

from __future__ import annotations

from pathlib import Path

import pytest
from portrepo import PortRepo

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@pytest.fixture(autouse=True)
def _git_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep a developer's own git settings, and a hook's own variables, out of the tests."""
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "PRE_COMMIT_FROM_REF", "PRE_COMMIT_TO_REF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORTWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "portwright-cache"))


@pytest.fixture
def repo(tmp_path: Path) -> PortRepo:
    """An empty repository with the Skill `tiny`."""
    folder = tmp_path / "repo"
    folder.mkdir()
    return PortRepo(folder)


@pytest.fixture
def port(repo: PortRepo) -> PortRepo:
    """A repository with one good port at its top, everything staged."""
    repo.add_port()
    repo.git("add", "-A")
    return repo
