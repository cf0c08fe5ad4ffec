"""A model repository whose port has been built once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.model_repo import ModelRepo


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a repository in which `doit port` has run."""
    top = tmp_path_factory.mktemp("built")
    repo = ModelRepo(top / "repo", top / "cache")
    said = repo.doit("port")
    assert said.code == 0, said.out + said.err
    return top


@pytest.fixture
def repo(built: Path, tmp_path: Path) -> ModelRepo:
    """A copy of the built repository, with its cache."""
    shutil.copytree(built, tmp_path, symlinks=True, dirs_exist_ok=True)
    return ModelRepo(tmp_path / "repo", tmp_path / "cache")


@pytest.fixture
def fresh(tmp_path: Path) -> ModelRepo:
    """A repository in which nothing has run."""
    return ModelRepo(tmp_path / "repo", tmp_path / "cache")
