"""One wheel and one clean environment for all tests here: building and installing is what takes time."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as `pip wheel .` does; returns its path."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("portwright-*.whl")
    return built


@pytest.fixture(scope="session")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and its base dependencies into a new environment; returns the folder of its commands."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.fixture
def portwright(clean: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed `portwright` in an empty folder, with none of this checkout's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PORTWRIGHT", "GIT_", "PRE_COMMIT"))}

    def run(*words: str, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        env = {**kept, "PATH": f"{clean}{os.pathsep}{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [clean / "portwright", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
        )

    return run
