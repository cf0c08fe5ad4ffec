"""Run one side of many jobs in one process: `python bench.py SIDE JOBS.json RESULTS.json`.

The sides: observe, generate, torch and mlx; references and ports of the generality test.

Torch and MLX never share a process, and starting either once for all cases keeps the tests fast.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from grade import environment, mlx_side, torch_side

HERE = Path(__file__).resolve().parent


class Silent:
    """An Emit that says nothing."""

    def progress(self, *a: Any) -> None: ...

    def log(self, text: str) -> None: ...


def one(side: str, job: dict[str, Any]) -> Any:
    """Run one job in this process; a PortError becomes its text."""
    if job.get("path"):
        sys.path.insert(0, job["path"])
    try:
        if side in ("observe", "generate"):
            name = "portwright.codegen.observe.__main__" if side == "observe" else "portwright.codegen.generate"
            return importlib.import_module(name).run(job, Silent())
        if side == "inputs":
            return importlib.import_module("zoo").write_inputs(job)
        if side in ("references", "ports"):
            return getattr(importlib.import_module("generality"), side)(job)
        (torch_side if side == "torch" else mlx_side)(job)
        return {}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        if job.get("path"):
            sys.path.remove(job["path"])
            sys.modules.pop("reference", None)


def run_side(side: str, jobs: list[dict[str, Any]], folder: Path) -> list[Any]:
    """Run a side of all jobs in a process of its own."""
    listing, results = folder / f"{side}.jobs.json", folder / f"{side}.results.json"
    listing.write_text(json.dumps(jobs))
    env = environment("mlx" if side in ("generate", "mlx", "ports") else "torch")
    env["PYTHONPATH"] = f"{HERE.parents[1] / 'plugin'}"
    command = [sys.executable, str(HERE / "bench.py"), side, str(listing), str(results)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(results.read_text()))


def bench(cases: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Observe, generate and compare every case; each has reference, configs, and optionally path and observed."""
    reports: list[dict[str, Any]] = [{} for _ in cases]
    jobs = []
    for n, case in enumerate(cases):
        out = folder / str(n)
        (out / "compare").mkdir(parents=True)
        jobs.append({"seed": 0, "probes": None, "overrides": {}, **case, "out": str(out / "trace")})
    observed = [{**j, "configs": j["configs"][: j.get("observed", 1)]} for j in jobs]
    for n, result in enumerate(run_side("observe", observed, folder)):
        reports[n].update(result)
    made = [
        {"trace": j["out"], "out": str(folder / str(n) / "port"), "licence": None, "without": j.get("without", [])}
        for n, j in enumerate(jobs)
    ]
    for n, result in enumerate(run_side("generate", made, folder)):
        reports[n].update(result)
        reports[n]["port"] = made[n]["out"]
    compare = [{**j, "out": str(folder / str(n) / "compare"), "port": made[n]["out"]} for n, j in enumerate(jobs)]
    for side in ("torch", "mlx"):
        for n, result in enumerate(run_side(side, compare, folder)):
            reports[n].update(result)
    for n, report in enumerate(reports):
        figures = folder / str(n) / "compare" / "figures.json"
        report["figures"] = (
            json.loads(figures.read_text()) if figures.exists() else [{"failed": report.get("error", "")}]
        )
    return reports


if __name__ == "__main__":
    side, listing, results = sys.argv[1:]
    Path(results).write_text(json.dumps([one(side, job) for job in json.loads(Path(listing).read_text())]))
