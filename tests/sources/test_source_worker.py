"""The fetch worker: one job in, JSON lines out, problems with their exit code."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from portwright.errors import ExitCode, PortError
from portwright.workers import run_worker
from wheels import tensor_file

MODULE = "portwright.sources.worker"


def test_the_worker_gives_the_snapshot(tmp_path: Path) -> None:
    """A job's result is the snapshot's root, revision and files; progress counts bytes."""
    body = tensor_file({"w": 700_000})
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "m.safetensors").write_bytes(body)
    job = {"source": "file:w", "base": str(tmp_path), "wanted": ["*"], "cache": str(tmp_path / "c"), "pinned": None}
    events: list[dict[str, object]] = []
    result = run_worker(MODULE, job, on_event=events.append)
    (file,) = result["files"]
    assert result["root"] == str(tmp_path / "w")
    assert (file["path"], file["size"], file["sha256"]) == (
        "m.safetensors",
        len(body),
        hashlib.sha256(body).hexdigest(),
    )
    assert events[-1] == {"event": "progress", "done": len(body), "total": len(body), "unit": "B", "what": "file:w"}
    assert len(events) > 1


def test_the_worker_reports_problems_with_their_code(tmp_path: Path) -> None:
    """A source that fails is a PortError on the other side, with exit code SOURCE and every problem."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.json").symlink_to("/etc/passwd")
    (tmp_path / "w" / "b.json").symlink_to("/etc/group")
    job = {"source": "file:w", "base": str(tmp_path), "wanted": ["*"], "cache": str(tmp_path / "c"), "pinned": None}
    with pytest.raises(PortError) as caught:
        run_worker(MODULE, job)
    assert caught.value.code == ExitCode.SOURCE
    assert [p.where for p in caught.value.problems] == ["a.json", "b.json"]
