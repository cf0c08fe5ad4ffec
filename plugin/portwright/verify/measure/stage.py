"""The measure stage: run every check of the registry and write the raw figures. No verdict is made here.

Job: {"port": folder with model.py, config.json, portmap.json and weights, "golden": folder or packed file,
"out": path of measurements.json, "dtype": what the port is stored in, "component"?: name, "portmap"?: path,
"moves"?: path, "snapshot"?: folder, "unquantized"?: [paths], "kept"?: bool, "budget"?: {},
"checks"?: [names of the registry], "layout"?: bool}.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx

from portwright import __version__, canonical
from portwright.errors import ExitCode, PortError, Problem
from portwright.verify.blame import blame
from portwright.verify.checks import REGISTRY, outputs
from portwright.verify.measure import transposes
from portwright.verify.measure.bench import Bench, CannotMeasure, Job, Measured, NotRun
from portwright.verify.measure.port import line_in, takes_cache
from portwright.verify.pack import unpack
from portwright.verify.tolerance import UNBOUNDED
from portwright.workers import Emit


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Measure one port; returns the path of the measurements, their count, and the first divergence if there is one."""
    unknown = sorted(set(job.get("checks") or ()) - set(REGISTRY))
    if unknown:
        raise PortError(
            [Problem(name, "is no check", f"one of {', '.join(REGISTRY)}") for name in unknown], ExitCode.USAGE
        )
    with golden_folder(Path(job["golden"])) as golden:
        bench = Bench(parsed(job, golden))
        checks, not_run = measure_all(bench, emit)
        body = {
            "component": job.get("component", "model"),
            "device": device(),
            "env": environment(bench),
            "golden": bench.golden.digest,
            "facts": facts(bench),
            "order": bench.golden.body["order"],
            "checks": checks,
            "not_run": not_run,
            "outputs": outputs.table(bench) if "outputs/observed" in checks else [],
        }
        if job.get("layout"):
            body["layout"] = layout(bench)
    out = Path(job["out"])
    partial = out.with_name(out.name + ".partial")
    partial.write_text(canonical.dumps(body), encoding="utf-8")
    partial.replace(out)
    return {"measurements": str(out), "checks": len(checks), "not_run": len(not_run), "first_divergence": blame(body)}


def measure_all(bench: Bench, emit: Emit | None = None) -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """Run the job's checks; gives the raw figures by check, and the checks that could not run."""
    checks: dict[str, dict[str, Any]] = {}
    not_run: list[dict[str, str]] = []
    names = [name for name in REGISTRY if name in bench.job.checks or not bench.job.checks]
    for done, name in enumerate(names):
        if emit is not None:
            emit.progress(done, len(names), "checks", name)
        for found in attempt(name, bench):
            if isinstance(found, NotRun):
                not_run.append({"check": found.check, "why": found.why})
            else:
                bench.done.append(found)
                checks[found.check] = entry(found)
    if emit is not None:
        emit.progress(len(names), len(names), "checks", "done")
    return checks, not_run


def layout(bench: Bench) -> dict[str, int] | None:
    """The transposes of the first probe's graph (`transposes.counted`); None where the code cannot be traced."""
    try:
        graph = transposes.traced(bench.model, *bench.golden.arguments(bench.golden.probes[0].inputs), bench.floats)
    except Exception:  # code that reads a value to go on has no graph, and what fails has failed its checks
        return None
    return transposes.counted(graph)


def parsed(job: dict[str, Any], golden: Path) -> Job:
    def path(name: str) -> Path | None:
        return Path(job[name]) if job.get(name) else None

    return Job(
        Path(job["port"]),
        golden,
        Path(job["out"]),
        job.get("dtype", "float32"),
        path("portmap"),
        path("moves"),
        path("snapshot"),
        tuple(map(Path, job.get("unquantized") or ())),
        bool(job.get("kept")),
        job.get("budget") or {},
        tuple(job.get("checks") or ()),
    )


def attempt(name: str, bench: Bench) -> Iterator[Measured | NotRun]:
    """Run one check; a port whose own code fails in it has failed it, and the message says where."""
    try:
        yield from REGISTRY[name](bench)
    except CannotMeasure as error:
        yield NotRun(name, str(error))
    except PortError as error:
        yield Measured(f"{name}/run", "mismatches", 1, 0, "exact", str(error))
    except Exception as error:
        line = line_in(error, bench.port.folder / "model.py")
        if not line:
            raise  # not the port's code: ours is at fault, and that must be loud
        yield Measured(f"{name}/run", "mismatches", 1, 0, "exact", f"model.py{line}: {type(error).__name__}: {error}")


def entry(found: Measured) -> dict[str, Any]:
    """One figure as measurements.json holds it: raw, finite."""
    body: dict[str, Any] = {
        "metric": found.metric,
        "value": min(float(found.value), UNBOUNDED) if found.value == found.value else UNBOUNDED,
        "noise": float(found.noise),
        "origin": found.origin,
    }
    if found.elements is not None:
        body["scaled_max"] = {"value": min(found.elements.value, UNBOUNDED), "noise": found.elements.noise}
    return {**body, "detail": found.detail} if found.detail else body


def facts(bench: Bench) -> dict[str, Any]:
    """What the list of checks follows from (`battery.check_ids`)."""
    found = bench.golden.body["facts"]
    native = ["native"] if bench.dtype != "float32" and not bench.quantized else []
    cache = ["cache"] if takes_cache(bench.stored_model) else []
    traits = sorted([*found["traits"], *native, *cache])
    return {"modules": found["modules"], "traits": traits, "exempt": bench.exempt()}


@contextmanager
def golden_folder(path: Path) -> Iterator[Path]:
    """The golden's folder; a packed one is unpacked for as long as it is needed."""
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="portwright-") as folder:
        unpack(path, Path(folder) / "golden")
        yield Path(folder) / "golden"


def device() -> str:
    return "metal" if mx.default_device() == mx.Device(mx.gpu) else "cpu"


def environment(bench: Bench) -> dict[str, str]:
    """What the figures depend on beside the port: versions, the machine, the BLAS."""
    system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), platform.system().lower())
    preloaded = os.environ.get("LD_PRELOAD", "")
    blas = "openblas" if "openblas" in preloaded else ("accelerate" if system == "macos" else "mlx")
    return {
        "portwright": __version__,
        "mlx": version("mlx"),
        "torch": bench.golden.body["env"]["torch"],
        "os": f"{system}-{platform.machine()}",
        "blas": blas,
        "cpu": f"{_processor()} ×{os.cpu_count()}",
    }


def _processor() -> str:
    """Name the processor: the order in which its BLAS sums decides the last digits."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")[:160]
