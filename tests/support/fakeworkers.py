"""Stand-ins for the heavy workers, so that the build around them is tested in seconds without torch or MLX.

A fixture's dodo.py calls `install()` before it imports portwright's tasks. `fake.json` in the current folder steers
them: {"fail": {worker: [problem, hint]}, "sleep": {worker: seconds}, "crash": worker, "report": worker}.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from portwright.errors import PortError, Problem
from portwright.verify import battery

MODEL = '"""A model."""\nimport mlx.core as mx\n\n\nclass Model:\n    pass\n'
Job = dict[str, Any]
_OTHER: dict[str, str] = {}


def install() -> None:
    """Put the stand-ins in place of `run_worker` in every stage."""
    from portwright.stages import capture, codegen, fetch, remap, verify

    for stage in (capture, codegen, fetch, remap, verify):
        stage.run_worker = run_worker  # type: ignore[attr-defined]


def run_worker(
    module: str, job: Job, *, on_event: Callable[[Job], None] | None = None, mlx: bool = False
) -> dict[str, Any]:
    worker = module.removeprefix("portwright.")
    steer = json.loads(Path("fake.json").read_text()) if Path("fake.json").is_file() else {}
    if worker in steer.get("sleep", {}):
        from portwright.workers import run_worker as real

        real(
            "sleeper", {"seconds": steer["sleep"][worker], "pid": str(Path("worker.pid").resolve())}, on_event=on_event
        )
    if worker in steer.get("fail", {}):
        problem, hint = steer["fail"][worker]
        raise PortError([Problem("reference.py:12", problem, hint), Problem("reference.py:40", "and this", "")])
    if worker == steer.get("crash"):
        from portwright.workers import run_worker as real

        real("crasher", {})
    if worker == steer.get("report") and on_event is not None:
        for done in (1, 2, 4):
            on_event(
                {"event": "progress", "done": done * 2_000_000, "total": 8_000_000, "unit": "B", "what": "weights"}
            )
            time.sleep(0.05)
        on_event({"event": "log", "text": "half of it is [bold]markup[/bold]"})
    return _WORKERS[worker](job)


def _fetch(job: Job) -> dict[str, Any]:
    from portwright.sources.worker import run
    from portwright.workers import Emit

    with Path(os.devnull).open("w") as nothing:
        return run(job, Emit(nothing))


def _observe(job: Job) -> dict[str, Any]:
    return {}


def _generate(job: Job) -> dict[str, Any]:
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.py").write_text(MODEL)
    (out / "config.json").write_text('{"hidden_size": 4}\n')
    params = {"embeddings.weight": {"from": ["embeddings.weight"], "shape": [3, 4], "dtype": "float32"}}
    modules = {"embeddings": {"ref": "embeddings"}}
    portmap = {"schema": 1, "params": params, "modules": modules, "holes": []}
    (out / "portmap.json").write_text(json.dumps(portmap, indent=2, sort_keys=True) + "\n")
    return {"classes": 1, "lines": 5, "holes": []}


def _capture(job: Job) -> dict[str, Any]:
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "golden.json").write_text("{}\n")
    facts = {"modules": ["embeddings"], "exempt": {}, "traits": ["long"]}
    return {"digest": "sha256:" + "d" * 64, "facts": facts, "weights": "library"}


def _remap(job: Job) -> dict[str, Any]:
    from blake3 import blake3

    (source,) = job["weights"]
    target = Path(job["out"]) / "model.safetensors"
    fresh = target.with_name(".model.safetensors.tmp")
    shutil.copyfile(Path(job["snapshot"]) / source, fresh)
    fresh.replace(target)
    content = target.read_bytes()
    digests = {"sha256": hashlib.sha256(content).hexdigest(), "blake3": blake3(content).hexdigest()}
    return {"files": {target.name: {"size": len(content), **digests}}, "keep": {}, "parameters": 12, "bytes": 48}


def _measure(job: Job) -> dict[str, Any]:
    facts = {"modules": ["embeddings"], "exempt": {}, "traits": ["long"]}
    body = {
        "component": job["component"],
        "device": "cpu",
        "env": {"portwright": "0.1.0", "mlx": "0.32.4", "torch": "2.13.0", "os": "linux-x86_64"},
        "checks": {check: _figure(check) for check in battery.check_ids(facts)},
        "not_run": [],
        "facts": facts,
    }
    Path(job["out"]).parent.mkdir(parents=True, exist_ok=True)
    Path(job["out"]).write_text(json.dumps(body))
    return {}


def _figure(check: str) -> dict[str, Any]:
    kind = check.split("/")[0]
    if kind == "speed":
        return {"metric": "seconds", "value": 0.012, "noise": 0.0, "origin": "clock"}
    if check == "isolate/share":
        return {"metric": "uncovered_share", "value": 0.0, "noise": 0.1, "origin": "tolerance.toml"}
    if kind in ("coverage", "bijection", "dtype", "determinism", "sensitivity"):
        return {"metric": "mismatches", "value": 0.0, "noise": 0.0, "origin": "exact"}
    bad = Path("diverge").is_file() and check == "isolate/embeddings"
    return {"metric": "rel_l2", "value": 3.0 if bad else 2.1e-7, "noise": 1.1e-7, "origin": "fp64"}


_WORKERS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "sources.worker": _fetch,
    "codegen.observe": _observe,
    "codegen.generate": _generate,
    "verify.capture": _capture,
    "remap": _remap,
    "verify.measure": _measure,
}
