"""Hooks run on every commit and doit loads its tasks on every run: what they import is what people wait for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "mlx", "numpy", "transformers", "diffusers", "safetensors", "huggingface_hub")


def _imported(code: str, folder: Path) -> set[str]:
    """Return the top packages that a program has imported when it ends."""
    report = "\nimport sys; print('\\n'.join(sorted({name.split('.')[0] for name in sys.modules})))"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "plugin")}
    done = subprocess.run(
        [sys.executable, "-c", code + report], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["cli", "hooks", "commands.hook", "commands.skill", "gate.gate", "evidence"])
def test_what_pre_commit_runs_imports_neither_doit_nor_anything_heavy(module: str, tmp_path: Path) -> None:
    """The command line, the hooks and the gate load without doit, numpy, torch or mlx."""
    imported = _imported(f"import portwright.{module}", tmp_path)

    assert not imported & {"doit", "rich", "blake3", *HEAVY}


def test_loading_the_tasks_imports_nothing_heavy(tmp_path: Path) -> None:
    """A dodo.py whose ports are known to be right loads without numpy, jsonschema, torch or mlx."""
    (tmp_path / "port.toml").write_text(
        (ROOT / "examples" / "minilm" / "port.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    load = "import portwright.tasks; portwright.tasks.ports()"
    _imported(load, tmp_path)  # remembers that the file is right

    imported = _imported(load, tmp_path)

    assert not imported & {"jsonschema", "rich", *HEAVY}
