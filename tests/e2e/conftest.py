"""The real MiniLM in a second layout, ported once by real `doit port`, and copied for each edit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from portwright.paths import cache_root
from portwright.sources import fetch, parse_source
from support.model_repo import Said
from support.second_layout import FOLDER, SOURCE, write_repo


class SecondLayout:
    """A repository with the port `second`, and real `doit` in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}

    def git(self, *words: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *identity, *words], cwd=self.path, check=True, capture_output=True)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place in a file where `old` stands."""
        file = self.path / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def port(self) -> Said:
        """Run `doit port --json`."""
        done = subprocess.run(
            [sys.executable, "-m", "doit", "port", "--json"], cwd=self.path, env=self.env, capture_output=True,
            text=True, timeout=900, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def ported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished repository: everything built, everything passed, the committed files committed.

    PORTWRIGHT_E2E_REPO names one that an earlier run has left, to save the minutes of capture while a test is written.
    """
    if "PORTWRIGHT_E2E_REPO" in os.environ:
        return Path(os.environ["PORTWRIGHT_E2E_REPO"])
    original = fetch(parse_source(SOURCE), (f"{FOLDER}/**",), cache=cache_root()).root / FOLDER
    repo = SecondLayout(tmp_path_factory.mktemp("ported") / "repo")
    write_repo(repo.path, original)
    repo.git("init", "-q")
    said = repo.port()
    assert said.code == 0, said.out[-4000:] + said.err
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "A port")
    return repo.path


@pytest.fixture
def second(ported: Path, tmp_path: Path) -> SecondLayout:
    """A copy of the finished repository, times and all."""
    shutil.copytree(ported, tmp_path / "repo", symlinks=True)
    return SecondLayout(tmp_path / "repo")
