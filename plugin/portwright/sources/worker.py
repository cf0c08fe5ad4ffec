"""The fetch stage as a process: `python -m portwright.sources.worker JOB.json`.

Job: {"source", "base": folder that relative file: paths start from, "wanted": [globs], "cache": folder,
"pinned": {path: {"size", "sha256", "header_sha256", "revision"}} or null, "check": true to read every byte again}.
Result: {"root", "revision", "files": [{"path", "size", "sha256", "header_sha256", "revision"}]}.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..records import SnapshotFile
from ..workers import Emit, worker_main
from . import fetch, parse_source


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Fetch what the job asks for."""
    pinned = {
        path: SnapshotFile(path, pin["size"], pin["sha256"], pin.get("header_sha256"), pin.get("revision", ""))
        for path, pin in (job.get("pinned") or {}).items()
    }
    snapshot = fetch(
        parse_source(job["source"]),
        tuple(job["wanted"]),
        cache=Path(job["cache"]),
        base=Path(job["base"]),
        pinned=pinned,
        check=bool(job.get("check", False)),
        on_progress=lambda done, total, what: emit.progress(done, total, "B", what),
    )
    files = [asdict(file) for file in snapshot.files]
    return {"root": str(snapshot.root), "revision": snapshot.revision, "files": files}


if __name__ == "__main__":
    worker_main(run)
