"""Whatever stops `doit port`, and whenever: nothing broken is called done, and the next run goes on from there."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.conftest import SecondLayout

SHARDS = ("ported/model-00001-of-00002.safetensors", "ported/model-00002-of-00002.safetensors")
# What is taken away before each run, so that the kill meets a fetch, a remap or a verify.
WORK = {
    "fetch": (".portwright/receipts/fetch.second.model.json", ".portwright/receipts/fetch.second.model-golden.json"),
    "remap": (*SHARDS, ".portwright/receipts/remap.second.model.json"),
    "verify": (".portwright/build/model/measurements.json",),
}
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def _digests(folder: Path) -> dict[str, str]:
    files = (*SHARDS, "ported/config.json", "ported/model.py", "port.lock")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}


def _run(repo: SecondLayout, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=repo.path, env=repo.env, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip


def _workers(repo: SecondLayout) -> list[str]:
    """Return the command lines of this repository's workers that are still alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            folder = (entry / "cwd").readlink()
        except OSError:
            continue
        if "portwright." in line and folder == repo.path:
            found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are counted in /proc")
@pytest.mark.parametrize("seed", range(3))
def test_kills_at_random_moments_break_nothing(second: SecondLayout, seed: int) -> None:
    """Twelve kills in a row at random moments: after each no worker is left, no traceback was shown and every receipt
    holds; at the end one run makes the same bytes as before."""
    chance = random.Random(seed)
    before = _digests(second.path)
    for number in range(12):
        stage, how = list(WORK)[number % 3], SIGNALS[number // 3 % 3]
        for name in WORK[stage]:
            (second.path / name).unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "doit", "port"], cwd=second.path, env=second.env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        time.sleep(chance.uniform(0.2, 6.0 if stage == "verify" else 3.0))
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in out + err, (number, stage, how, out, err)

        until = time.monotonic() + 5
        while _workers(second) and time.monotonic() < until:
            time.sleep(0.05)
        assert _workers(second) == []
        check = _run(second, "portwright", "check")
        assert "0 damaged" in check.stdout or _only_taken_away(check.stdout), (number, stage, how, check.stdout)

    said = second.port()

    assert said.code == 0, said.out + said.err
    assert _digests(second.path) == before
    assert second.port().ran == set()
    assert [p.name for p in (second.path / "ported").rglob("*") if p.name.endswith(".tmp")] == []


def _only_taken_away(said: str) -> bool:
    """Whether every damage that `check` names is a file that the test itself had deleted."""
    taken = [name for names in WORK.values() for name in names]
    named = [line for line in said.splitlines() if "is missing or damaged" in line]
    return all(any(name in line for name in taken) for line in named)
