"""codegen: observe the reference, write its MLX source, and merge that with what a person changed."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

from .. import __version__
from ..errors import ExitCode, PortError, Problem
from ..publish import publish_text
from ..records import ComponentSpec
from ..workers import run_worker
from .context import Port, digest, read_json
from .reference import check_left, inputs_of, isolated, reference_of
from .stage import Done, OnEvent, Stage

_ENGINE = ("codegen", "reference")  # packages of ours on which the text of model.py depends


def codegen_stage(port: Port, component: ComponentSpec) -> Stage:
    name = port.task("codegen", component)
    out = port.paths.component(component.name)
    build = port.paths.build(component.name)
    base_model, model = out / ".base" / "model.py", out / "model.py"

    def inputs() -> dict[str, str]:
        return {
            "the config": port.config_digest(component),
            "the reference class": component.reference,
            "the runtime": port.spec.runtime,
            "the Skill's probes": digest(port.skill.probes.get(component.name, {})),
            "the version of portwright": __version__,
            "the source of codegen": engine_digest(),
            **inputs_of(port, component),
        }

    def run(on_event: OnEvent) -> Done:
        config = read_json(port.config_file(component))
        trace, pristine = build / "trace", build / "codegen"
        job = {
            "reference": reference_of(component),
            "configs": [config],
            "seed": 0,
            "probes": None,
            "overrides": port.skill.probes.get(component.name, {}),
            "runtime": port.spec.runtime,
            "out": str(trace.resolve()),
            "path": str(port.spec.directory.resolve()),
        }
        if component.remote_code:
            added, only = isolated(port, component, "codegen")
            trace = only / "trace"
            job = {**job, **added, "out": str(trace)}
        run_worker("portwright.codegen.observe", job, on_event=on_event)
        if component.remote_code:
            check_left(trace.parent)
        job = {
            "trace": str(trace.resolve()),
            "out": str(pristine.resolve()),
            "runtime": port.spec.runtime,
            "command": "doit port",
            "licence": None,
        }
        result = run_worker("portwright.codegen.generate", job, on_event=on_event, mlx=True)
        out.mkdir(parents=True, exist_ok=True)
        conflicts = _merge(pristine / "model.py", base_model, model, build / "merge")
        publish_text(out / "portmap.json", (pristine / "portmap.json").read_text(encoding="utf-8"))
        kept = {str(key): result[key] for key in ("classes", "lines", "holes")}
        if conflicts:
            on_event({"event": "log", "text": conflicts})
        files = (base_model, pristine / "config.json", pristine / "portmap.json", out / "portmap.json")
        return Done(files, kept)

    def repair() -> None:
        """A deleted model.py is put back from the pristine copy: nothing has to be generated for that."""
        if not model.exists() and base_model.is_file():
            publish_text(model, base_model.read_text(encoding="utf-8"))

    needs = (port.task("fetch", component),)
    doc = "write the MLX source of the component"
    return Stage(name, needs, port.spec.directory, port.paths.receipt(name), inputs, run, doc, repair)


def check_markers(model: Path, shown: str) -> None:
    """Raise PortError where model.py still holds the conflict markers of a merge."""
    lines = model.read_text(encoding="utf-8").splitlines()
    marks = [i for i, line in enumerate(lines, 1) if line.startswith(("<<<<<<< ", ">>>>>>> "))]
    if marks:
        hint = "keep what is right of both sides, delete the marker lines, then `doit port`"
        problem = f"your edits and the new code conflict; markers stand in lines {', '.join(map(str, marks))}"
        raise PortError(Problem(f"{shown}:{marks[0]}", problem, hint), ExitCode.FAILED)


def _merge(pristine: Path, base: Path, model: Path, backup: Path) -> str:
    """Bring new code to model.py, keeping a person's edits; return what to tell them of conflicts."""
    theirs = pristine.read_text(encoding="utf-8")
    said = ""
    if not model.exists() or not base.exists():
        if model.exists() and model.read_text(encoding="utf-8") != theirs:  # no base: it was never ours to merge
            backup.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model, backup / "model.py.orig")
            said = f"model.py was not made by this port and is replaced; the old one: {backup / 'model.py.orig'}"
        text = theirs
    else:
        from ..codegen.merge import merge3

        ours = model.read_text(encoding="utf-8")
        merged = merge3(base.read_text(encoding="utf-8"), ours, theirs)
        text = merged.text
        if merged.conflicts:
            backup.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model, backup / "model.py.orig")
            said = (
                f"your edits and the new code conflict in line {', '.join(str(c.line) for c in merged.conflicts)}: "
                f"settle them in {model.name}; your version is kept as {backup / 'model.py.orig'}"
            )
    # model.py first: were the base new and model.py old, the next merge would take the person's file for stale.
    publish_text(model, text)
    publish_text(base, theirs)
    return said


@cache
def engine_digest(package: Path = Path(__file__).parents[1]) -> str:
    """Return the digest of the code that writes model.py: of the installed portwright, or of a checkout being edited.

    A version alone would leave ports as they were while the engine changes between two releases.
    """
    files = sorted(file for folder in _ENGINE for file in (package / folder).rglob("*.py"))
    total = hashlib.sha256()
    for file in files:
        text = file.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{file.relative_to(package).as_posix()} {len(text)}\n".encode() + text)
    return f"sha256:{total.hexdigest()}"
