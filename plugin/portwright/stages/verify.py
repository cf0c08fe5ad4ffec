"""verify: load the port as a user would, in its own MLX process, and measure it against the golden."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..errors import PortError, Problem
from ..records import ComponentSpec
from ..workers import run_worker
from .bind import MOVES
from .codegen import check_markers
from .context import Port, digest, digest_text_file, read_json
from .reference import versions
from .remap import remap_job
from .stage import Done, OnEvent, Stage

MEASUREMENTS = "measurements.json"


def verify_stage(port: Port, component: ComponentSpec) -> Stage:
    name = port.task("verify", component)
    out, build = port.paths.component(component.name), port.paths.build(component.name)
    target = build / MEASUREMENTS
    quantize = port.spec.quantize

    def inputs() -> dict[str, str]:
        return {
            "model.py": digest_text_file(out / "model.py"),
            "config.json": digest_text_file(out / "config.json"),
            "portmap.json": digest_text_file(out / "portmap.json"),
            "the weights": digest(port.result("remap", component)["weights"]),
            "the golden": str(port.result("capture", component)["digest"]),
            "the moves": str(port.result("bind", component)["moves"]),
            "the quantization": digest(None if quantize is None else dict(quantize.budget)),
            **versions("mlx"),
        }

    def run(on_event: OnEvent) -> Done:
        shown = (out / "model.py").relative_to(port.spec.directory).as_posix()
        if not (out / "model.py").is_file():
            raise PortError(Problem(shown, "is missing", f"doit {port.task('codegen', component)}"))
        check_markers(out / "model.py", shown)
        _check_code(out / "model.py", shown, port.spec.runtime)
        job = measure_job(port, component, target)
        if quantize is None or quantize.source:
            run_worker("portwright.verify.measure", job, on_event=on_event, mlx=True)
        else:  # what quantization changed is measured against the port's own unquantized weights
            with tempfile.TemporaryDirectory(prefix="unquantized-", dir=build) as folder:
                plain = run_worker("portwright.remap", remap_job(port, component, Path(folder)), on_event=on_event)
                names = [name for name in plain["files"] if name.endswith(".safetensors")]
                job["unquantized"] = [str(Path(folder).resolve() / name) for name in names]
                run_worker("portwright.verify.measure", job, on_event=on_event, mlx=True)
        figures = read_json(target)
        kept = {"measurements": digest(figures), "checks": len(figures["checks"]), "not_run": len(figures["not_run"])}
        return Done((target,), kept)

    needs = (port.task("remap", component), port.task("capture", component))
    doc = "compare the port with the reference"
    return Stage(name, needs, port.spec.directory, port.paths.receipt(name), inputs, run, doc)


def _check_code(model: Path, shown: str, runtime: str) -> None:
    """Refuse what this machine would not notice: code that Apple's GPUs cannot run, imports that users lack."""
    from ..codegen.lint import import_lint, metal_lint

    try:
        source = model.read_text(encoding="utf-8")
        problems = [*metal_lint(source), *import_lint(source, runtime)]
    except SyntaxError as error:
        raise PortError(Problem(f"{shown}:{error.lineno}", f"not valid Python: {error.msg}", "mend it")) from None
    folder = shown.removesuffix("model.py")
    if problems:
        raise PortError([Problem(folder + p.where, p.problem, p.hint) for p in problems])


def measure_job(port: Port, component: ComponentSpec, target: Path) -> dict[str, Any]:
    """Return the job of the measure worker: everything it compares, by absolute path."""
    out, build = port.paths.component(component.name), port.paths.build(component.name)
    budget = dict(port.spec.quantize.budget) if port.spec.quantize else {}
    return {
        "component": component.name,
        "port": str(out.resolve()),
        "golden": str(port.paths.golden(component.name).resolve()),
        "portmap": str((out / "portmap.json").resolve()),
        "moves": str((build / MOVES).resolve()),
        "snapshot": str(port.snapshot_root(component)),
        "dtype": port.spec.dtype,
        "budget": budget,
        "kept": bool(port.spec.quantize and port.spec.quantize.source),
        "out": str(target.resolve()),
    }
