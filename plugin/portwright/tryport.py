"""`portwright try`: will this model port? Build it with random weights, generate, load, compare, in fresh processes."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import canonical
from .errors import ExitCode, PortError, Problem
from .runtimes import left_out
from .verify.blame import blame, failing
from .workers import Event, run_worker

OnEvent = Callable[[Event], None]

EXIT = {
    "ported": ExitCode.OK,
    "holes": ExitCode.HOLES,
    "diverged": ExitCode.DIVERGED,
    "failed": ExitCode.DIVERGED,
    "not-built": ExitCode.NOT_BUILT,
}
# What a port is held to before it is a port; the share of isolated modules and what no probe reaches are reported.
CHECKS = ["coverage", "bijection", "dtype", "isolate", "flow", "outputs", "long", "padding", "batch", "determinism"]
CHECKS += ["sensitivity", "elements"]
INFORMS = ("isolate/share", "sensitivity/")


@dataclass
class TryResult:
    """What `portwright try --json` prints, one field a key."""

    reference: str
    status: str = "failed"
    classes: int = 0
    lines: int = 0
    holes: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    modules_compared: int = 0
    first_divergence: dict[str, str] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    peak_rss: int = 0
    model_py: str | None = None
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        return EXIT[self.status]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


def run_try(
    reference: str,
    config: Path | None = None,
    inputs: Path | None = None,
    out: Path | None = None,
    *,
    seed: int = 0,
    runtime: str = "standalone",
    on_event: OnEvent | None = None,
) -> TryResult:
    """Try one reference, `module:Class` or a transformers model type; `out` keeps a port that stands alone.

    Raises PortError (USAGE) only for wrong arguments; everything else is in the result's status and problems.
    """
    settings = {} if config is None else _read_config(config)
    if inputs is not None and not inputs.is_file():
        raise PortError(Problem(str(inputs), "there is no such file", "a safetensors file of inputs"), ExitCode.USAGE)
    result = TryResult(reference)
    with tempfile.TemporaryDirectory(prefix="portwright-") as scratch:
        work = Path(scratch)
        try:
            _stages(result, settings, inputs, seed, runtime, work, on_event)
        except PortError as error:
            result.problems = [asdict(problem) for problem in error.problems]
            if error.code == ExitCode.NOT_BUILT:
                result.status = "not-built"
        if out is not None:
            keep(work, out)
            if (out / "model.py").is_file():
                result.model_py = str((out / "model.py").resolve())
    result.peak_rss = _peak_rss()
    return result


def _stages(
    result: TryResult,
    config: dict[str, Any],
    inputs: Path | None,
    seed: int,
    runtime: str,
    work: Path,
    on_event: OnEvent | None,
) -> None:
    """Run the stages, each in a process of its own, until one ends the try."""
    port, golden = work / "port", work / "golden"
    probes = None if inputs is None else [str(inputs.resolve())]
    with _timed(result, "observe"):
        job: dict[str, Any] = {"reference": result.reference, "configs": [config], "seed": seed, "probes": probes}
        job |= {"overrides": {}, "runtime": runtime, "out": str(work / "trace")}
        run_worker("portwright.codegen.observe", job, on_event=on_event)
    with _timed(result, "generate"):
        job = {"trace": str(work / "trace"), "out": str(port), "runtime": runtime, "licence": None}
        made = run_worker("portwright.codegen.generate", job, on_event=on_event, mlx=True)
    result.classes, result.lines, result.holes = made["classes"], made["lines"], made["holes"]
    with _timed(result, "reference"):
        job = {"reference": result.reference, "config": str(port / "config.json"), "mode": "redraw", "seed": seed}
        run_worker(
            "portwright.verify.capture",
            {
                **job,
                "overrides": left_out(runtime),
                "probes": probes,
                "varied": inputs is not None,
                "dtypes": ["float32"],
                "out": str(golden),
            },
            on_event=on_event,
        )
    shutil.copyfile(golden / "reference.safetensors", port / "reference.safetensors")
    shutil.copyfile(golden / "inputs.000.safetensors", port / "inputs.safetensors")
    shutil.copyfile(golden / "outputs.000.safetensors", port / "outputs.safetensors")
    with _timed(result, "weights"):
        job = {"reference": str(port / "reference.safetensors"), "portmap": str(port / "portmap.json")}
        run_worker("portwright.verify.assemble", {**job, "out": str(port / "model.safetensors")}, on_event=on_event)
    if result.holes:
        result.status = "holes"  # a hole raises where it is reached: there is nothing to compare
        return
    with _timed(result, "compare"):
        job = {"port": str(port), "golden": str(golden), "out": str(work / "measurements.json"), "checks": CHECKS}
        run_worker("portwright.verify.measure", job, on_event=on_event, mlx=True)
    judge(result, canonical.parse_object((work / "measurements.json").read_bytes(), "measurements.json"))


def judge(result: TryResult, body: Mapping[str, Any]) -> None:
    """Read the measurements into the result: every output and every module within tolerance, or diverged."""
    result.outputs = list(body["outputs"])
    result.modules_compared = sum(check.startswith("isolate/") and check != "isolate/share" for check in body["checks"])
    failed = failing(body)
    wrong = [check for check in failed if not check.startswith(INFORMS)]
    result.notes = [_say(body, check) for check in failed if check.startswith(INFORMS)]
    result.notes += [f"{item['check']}: not run: {item['why']}" for item in body["not_run"]]
    if not wrong:
        result.status = "ported"
        return
    result.status = "diverged"
    judged = {**body, "checks": {check: body["checks"][check] for check in wrong}}
    where = str(blame(judged))
    check = where if "/" in where else f"isolate/{where}"
    result.first_divergence = {"where": where, "detail": str(body["checks"].get(check, {}).get("detail", ""))}


def keep(work: Path, out: Path) -> None:
    """Put what there is of the port into `out`: each file by rename, so that none is half there."""
    names = ("model.py", "config.json", "portmap.json", "model.safetensors", "reference.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    for name in (*names, "inputs.safetensors", "outputs.safetensors"):
        made = work / "port" / name
        (out / name).unlink(missing_ok=True)  # of an earlier try: it must not be taken for this one's
        if made.is_file():
            partial = out / f"{name}.partial"
            shutil.copyfile(made, partial)
            partial.replace(out / name)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return canonical.parse_object(path.read_bytes(), str(path))
    except OSError as error:
        raise PortError(Problem(str(path), str(error.strerror), "a library's config.json"), ExitCode.USAGE) from None
    except PortError as error:
        raise PortError(error.problems, ExitCode.USAGE) from None


def _say(body: Mapping[str, Any], check: str) -> str:
    measured = body["checks"][check]
    return f"{check}: {measured.get('detail') or measured['value']}"


@contextmanager
def _timed(result: TryResult, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        result.seconds[stage] = round(time.perf_counter() - start, 3)
        result.seconds["total"] = round(result.seconds.get("total", 0.0) + time.perf_counter() - start, 3)


def _peak_rss() -> int:
    """Bytes of the largest stage's process."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
