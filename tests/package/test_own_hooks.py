"""Our own repository uses our own hooks on our own examples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
yaml = pytest.importorskip("yaml")  # pre-commit brings it
CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
ENTRIES = {hook["id"]: hook["entry"].split() for repo in CONFIG["repos"] for hook in repo["hooks"]}
OURS = [name for name, entry in ENTRIES.items() if "portwright" in entry]

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


def test_every_hook_that_we_offer_is_used_here() -> None:
    """Each hook of the catalogue stands in our own configuration."""
    from portwright.hooks import HOOKS

    assert [hook.id for hook in HOOKS] == OURS


@pytest.mark.parametrize("name", OURS)
def test_our_own_hooks_pass(name: str) -> None:
    """What is in the index passes the hook, run as the configuration runs it."""
    *_, command, module, entry, hook, folder = ENTRIES[name]
    assert (command, module, entry) == ("-m", "portwright", "hook")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PRE_COMMIT"))}
    env["PYTHONPATH"] = str(ROOT / "plugin")

    done = subprocess.run(
        [sys.executable, "-m", "portwright", "hook", hook, folder],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
