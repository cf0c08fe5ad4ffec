"""`portwright try`: will this model port? Build it with random weights, generate, load, compare, in fresh processes."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import canonical, warm
from .errors import ExitCode, PortError, Problem
from .runtimes import left_out
from .verify.blame import blame, failing
from .workers import Event, Limits, run_worker

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
CHECKS += ["sensitivity", "elements", "cache"]
INFORMS = ("isolate/share", "sensitivity/")
REFUSED = "not ported: "  # how a port begins to say that a test went another way than in every observed run


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
    layout: dict[str, int] | None = None  # of a convolution network: transposes, the minimum, other ones
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


@dataclass(frozen=True)
class Options:
    """How to try: where weights come from, what is kept, what it may cost."""

    full: bool = False  # the config at the library's defaults, in place of a tiny one
    snapshot: Path | None = None  # a folder with config.json and *.safetensors, in place of random weights
    seed: int = 0
    runtime: str = "standalone"
    time_limit: float | None = None  # seconds
    memory_limit: int | None = None  # bytes of each worker


def run_try(
    reference: str,
    config: Path | None = None,
    inputs: Path | None = None,
    out: Path | None = None,
    options: Options = Options(),
    *,
    on_event: OnEvent | None = None,
) -> TryResult:
    """Try one reference, `module:Class` or a transformers model type; `out` keeps a port that stands alone.

    Without a config a tiny one is made, which the notes say. Raises PortError (USAGE) only for wrong arguments;
    everything else is in the result's status and problems.
    """
    if options.snapshot is not None:
        config = config or options.snapshot / "config.json"
        if not list(options.snapshot.glob("*.safetensors")):
            problem = Problem(str(options.snapshot), "has no *.safetensors", "a folder as the library saves it")
            raise PortError(problem, ExitCode.USAGE)
    settings = None if config is None else _read_config(config)
    if inputs is not None and not inputs.is_file():
        raise PortError(Problem(str(inputs), "there is no such file", "a safetensors file of inputs"), ExitCode.USAGE)
    result = TryResult(reference)
    limits = Limits(options.time_limit, options.memory_limit)
    with tempfile.TemporaryDirectory(prefix="portwright-") as scratch, warm.serving(warm.parts_of(reference)):
        work = Path(scratch)
        try:
            Try(result, options, limits, work, on_event, inputs).run(settings)
        except PortError as error:
            result.problems = [asdict(problem) for problem in error.problems]
            if error.code == ExitCode.NOT_BUILT:
                result.status = "not-built"
        finally:
            limits.stop()
        if out is not None:
            keep(work, out)
            if (out / "model.py").is_file():
                result.model_py = str((out / "model.py").resolve())
    result.peak_rss = max(limits.peak_rss, _peak_rss())
    return result


@dataclass
class Try:
    """The stages of one try, each in a process of its own, until one ends it."""

    result: TryResult
    options: Options
    limits: Limits
    work: Path
    on_event: OnEvent | None
    inputs: Path | None
    overrides: dict[str, Any] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)

    def run(self, config: dict[str, Any] | None) -> None:
        """Observe and generate while the reference's answers are taken, then compare."""
        port, golden = self.work / "port", self.work / "golden"
        try:
            config = self.config(config)
            with ThreadPoolExecutor(1) as pool:
                answers = pool.submit(self.capture, config)
                try:
                    self.observe(config)
                    self.generate()
                    answers.result()
                except BaseException:
                    self.limits.stop()
                    raise
            names = {"reference": "reference", "inputs.000": "inputs", "outputs.000": "outputs"}
            for made, kept in names.items():
                shutil.copyfile(golden / f"{made}.safetensors", port / f"{kept}.safetensors")
            self.assemble(port)
            if self.result.holes:
                self.result.status = "holes"  # a hole raises where it is reached: there is nothing to compare
                return
            self.compare(port, golden)
            if REFUSED in (self.result.first_divergence or {}).get("detail", ""):
                self.observe(config, more=True)
                self.generate()
                self.assemble(port)
                if self.result.holes:
                    self.result.status = "holes"
                    return
                self.compare(port, golden)
        finally:
            self.result.seconds["total"] = round(time.perf_counter() - self.start, 3)

    def assemble(self, port: Path) -> None:
        """Lay the reference's weights out as the port wants them."""
        job = {"reference": str(port / "reference.safetensors"), "portmap": str(port / "portmap.json")}
        self.worker("weights", "verify.assemble", {**job, "out": str(port / "model.safetensors")})

    def compare(self, port: Path, golden: Path) -> None:
        """Measure the port against the reference's answers, and judge."""
        out = self.work / "measurements.json"
        job = {"port": str(port), "golden": str(golden), "out": str(out)}
        self.worker("compare", "verify.measure", {**job, "checks": CHECKS, "layout": True}, mlx=True)
        judge(self.result, canonical.parse_object(out.read_bytes(), "measurements.json"))

    def config(self, given: dict[str, Any] | None) -> dict[str, Any]:
        """The given config, or a tiny one; the library's own defaults for `full` and for a class without a config."""
        if given is not None:
            return given
        if self.options.full:
            self.result.notes.append("config: the library's defaults, as --full asks")
            return {}
        made = self.work / "tiny.json"
        job = {"reference": self.result.reference, "seed": self.options.seed, "out": str(made)}
        found = self.worker("config", "atlas.shrink", job)
        self.result.notes.append(found["note"])
        self.overrides = found["inputs"]
        return canonical.parse_object(made.read_bytes(), str(made), finite=False)

    def observe(self, config: dict[str, Any], more: bool = False) -> None:
        """Record runs; `more` adds other lengths, for a port that refused what it had seen one way only."""
        job: dict[str, Any] = {
            "more": more,
            "configs": [config],
            "probes": self.probes,
            "overrides": self.overrides,
            "runtime": self.options.runtime,
            "out": str(self.work / "trace"),
        }
        found = self.worker("observe", "codegen.observe", {**self.common, **job})
        self.result.notes += [n for n in found.get("notes", []) if n not in self.result.notes]

    def generate(self) -> None:
        job = {"trace": str(self.work / "trace"), "out": str(self.work / "port"), "runtime": self.options.runtime}
        made = self.worker("generate", "codegen.generate", {**job, "licence": None}, mlx=True)
        self.result.classes, self.result.lines, self.result.holes = made["classes"], made["lines"], made["holes"]

    def capture(self, config: dict[str, Any]) -> None:
        given = self.work / "config.json"
        given.write_text(json.dumps(config), encoding="utf-8")
        job: dict[str, Any] = {"config": str(given), "mode": "redraw", "dtypes": ["float32"], "probes": self.probes}
        if self.options.snapshot is not None:
            files = sorted(p.name for p in self.options.snapshot.glob("*.safetensors"))
            job |= {"mode": "snapshot", "snapshot": str(self.options.snapshot.resolve()), "weights": files}
        job |= {
            "keep_weights": True,
            "overrides": {**self.overrides, **left_out(self.options.runtime)},
            "varied": self.inputs is not None,
            "out": str(self.work / "golden"),
        }
        self.worker("reference", "verify.capture", {**self.common, **job})

    @property
    def common(self) -> dict[str, Any]:
        return {"reference": self.result.reference, "seed": self.options.seed}

    @property
    def probes(self) -> list[str] | None:
        return None if self.inputs is None else [str(self.inputs.resolve())]

    def worker(self, stage: str, module: str, job: dict[str, Any], mlx: bool = False) -> Event:
        """Run one stage and take its time."""
        start = time.perf_counter()
        try:
            return run_worker(f"portwright.{module}", job, on_event=self.on_event, mlx=mlx, limits=self.limits)
        finally:
            self.result.seconds[stage] = round(time.perf_counter() - start, 3)


def judge(result: TryResult, body: Mapping[str, Any]) -> None:
    """Read the measurements into the result: every output and every module within tolerance, or diverged."""
    result.outputs = list(body["outputs"])
    result.layout = body.get("layout")
    result.modules_compared = sum(check.startswith("isolate/") and check != "isolate/share" for check in body["checks"])
    failed = failing(body)
    wrong = [check for check in failed if not check.startswith(INFORMS) or is_deaf(body, check)]
    result.notes += [_say(body, check) for check in failed if check.startswith(INFORMS)]
    result.notes += [f"{item['check']}: not run: {item['why']}" for item in body["not_run"]]
    if not wrong:
        result.status, result.first_divergence = "ported", None
        return
    result.status = "diverged"
    judged = {**body, "checks": {check: body["checks"][check] for check in wrong}}
    where = str(blame(judged))
    check = where if "/" in where else f"isolate/{where}"
    result.first_divergence = {"where": where, "detail": str(body["checks"].get(check, {}).get("detail", ""))}


def is_deaf(body: Mapping[str, Any], check: str) -> bool:
    """Whether an input that moves the reference's outputs moves none of the port's."""
    return check == "sensitivity/inputs" and "and none of the port" in str(body["checks"][check].get("detail", ""))


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
        return canonical.parse_object(path.read_bytes(), str(path), finite=False)
    except OSError as error:
        raise PortError(Problem(str(path), str(error.strerror), "a library's config.json"), ExitCode.USAGE) from None
    except PortError as error:
        raise PortError(error.problems, ExitCode.USAGE) from None


def _say(body: Mapping[str, Any], check: str) -> str:
    measured = body["checks"][check]
    return f"{check}: {measured.get('detail') or measured['value']}"


def _peak_rss() -> int:
    """Bytes of the largest stage's process."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
