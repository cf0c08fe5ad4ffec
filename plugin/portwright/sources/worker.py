"""The fetch stage as a process: `python -m portwright.sources.worker JOB.json`.

Job: {"source", "base": folder that relative file: paths start from, "wanted": [globs], "cache": folder,
"pinned": {path: {"size", "sha256", "header_sha256", "revision"}} or null, "check": true to read every byte again,
"unasked": {"component", "path"} where port.toml does not say whether code that comes with the weights may be run}.
Result: {"root", "revision", "files": [{"path", "size", "sha256", "header_sha256", "revision"}]}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import PortError
from ..records import ComponentSpec, SnapshotFile, SourceRef
from ..remote import consent
from ..workers import Emit, worker_main
from . import fetch, parse_source


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Fetch what the job asks for."""
    pinned = {
        path: SnapshotFile(path, pin["size"], pin["sha256"], pin.get("header_sha256"), pin.get("revision", ""))
        for path, pin in (job.get("pinned") or {}).items()
    }
    source, cache, base = parse_source(job["source"]), Path(job["cache"]), Path(job["base"])
    if job.get("unasked"):
        component = ComponentSpec(job["unasked"]["component"], job["unasked"]["path"], "", "")
        consent.check_asked(component, _config(source, component, cache, base, pinned), source.text)
    snapshot = fetch(
        source,
        tuple(job["wanted"]),
        cache=cache,
        base=base,
        pinned=pinned,
        check=bool(job.get("check", False)),
        on_progress=lambda done, total, what: emit.progress(done, total, "B", what),
    )
    files = [asdict(file) for file in snapshot.files]
    return {"root": str(snapshot.root), "revision": snapshot.revision, "files": files}


def _config(
    source: SourceRef, component: ComponentSpec, cache: Path, base: Path, pinned: Mapping[str, SnapshotFile]
) -> dict[str, Any]:
    """Fetch the component's config.json before its weights; what is wrong with it is found when all is fetched."""
    path = f"{component.path}/config.json" if component.path else "config.json"
    try:
        first = fetch(source, (path,), cache=cache, base=base, pinned=pinned)
        config = json.loads((first.root / path).read_text(encoding="utf-8"))
    except (PortError, ValueError, OSError):
        return {}
    return config if isinstance(config, dict) else {}


if __name__ == "__main__":
    worker_main(run)
