"""capture: run the PyTorch reference once, in its own process, and keep its answers as the golden."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..records import ComponentSpec
from ..runtimes import left_out
from ..workers import run_worker
from .bind import NAMES
from .context import Port, digest
from .reference import check_left, inputs_of, isolated, reference_of
from .stage import Done, OnEvent, Stage

TOKENIZER = "tokenizer.json"


def capture_stage(port: Port, component: ComponentSpec) -> Stage:
    name = port.task("capture", component)
    golden = port.paths.golden(component.name)
    build = port.paths.build(component.name)
    source = "fetch" if component.golden is None else "fetch-golden"

    def inputs() -> dict[str, str]:
        # Not the moves, even where the reference could only be loaded through them: a golden that followed every
        # edit of a rule would agree with a wrong one too. See "Where the golden's weights come from" in docs/design.md.
        weights = [[f["path"], f["sha256"]] for f in _weights(port, component, source)]
        return {
            "the config": port.config_digest(component),
            "the reference class": component.reference,
            "the weights of the reference": digest(weights),
            "the Skill's probes": digest(port.skill.probes.get(component.name, {})),
            **({"the runtime": port.spec.runtime} if left_out(port.spec.runtime) else {}),
            **({"the prompts": digest(_prompts(port, component))} if component.prompts else {}),
            **inputs_of(port, component),
        }

    def run(on_event: OnEvent) -> Done:
        root = port.snapshot_root(component).resolve()
        build_names = build / NAMES
        job: dict[str, Any] = {
            "reference": reference_of(component),
            "config": str(port.config_file(component).resolve()),
            "snapshot": str(root),
            "weights": [str(f["path"]) for f in port.weight_files(component)],
            "golden_source": None,
            "moves": str(build_names.resolve()),
            "mode": "snapshot",
            "seed": 0,
            "dtype": "float32",
            "probes": None,
            "overrides": {**left_out(port.spec.runtime), **port.skill.probes.get(component.name, {})},
            "path": str(port.spec.directory.resolve()),
            "prompts": list(component.prompts),
            "tokenizer": str(_tokenizer(port, component)[0].resolve()) if component.prompts else None,
            "out": str(golden.resolve()),
        }
        if component.golden is not None:
            other = port.snapshot_root(component, "fetch-golden").resolve()
            job["golden_source"] = {
                "config": str(other / component.golden.path / "config.json"),
                "files": [str(other / str(f["path"])) for f in _weights(port, component, source)],
            }
        golden.parent.mkdir(parents=True, exist_ok=True)
        if component.remote_code:
            added, only = isolated(port, component, "capture", _read(port, component, job))
            job = {**job, **added, "out": str(only / "golden")}
        result = run_worker("portwright.verify.capture", job, on_event=on_event)
        if component.remote_code:
            check_left(only)
            shutil.rmtree(golden, ignore_errors=True)
            (only / "golden").replace(golden)
        if result["weights"] == "rules":
            text = "the library cannot load this layout: the golden rests on the Skill's own rules, see docs/design.md"
            on_event({"event": "log", "text": text})
        kept = {"digest": result["digest"], "facts": result["facts"], "weights": result["weights"]}
        return Done(tuple(sorted(p for p in golden.iterdir() if p.is_file())), kept)

    # `bind` comes first only because a layout that the library cannot load is read through its names.
    needs = (port.task("bind", component), *([port.task("fetch-golden", component)] if component.golden else []))
    doc = "run the reference and keep its answers"
    return Stage(name, needs, port.spec.directory, port.paths.receipt(name), inputs, run, doc)


def _read(port: Port, component: ComponentSpec, job: Mapping[str, Any]) -> list[Path]:
    """Return the files that a capture reads."""
    stages = ["fetch", *(["fetch-golden"] if component.golden else [])]
    fetched = [port.snapshot_root(component, s) / f["path"] for s in stages for f in port.result(s, component)["files"]]
    return [*fetched, *(Path(job[key]) for key in ("config", "moves", "tokenizer") if job[key])]


def _prompts(port: Port, component: ComponentSpec) -> list[Any]:
    return [list(component.prompts), _tokenizer(port, component)[1]]


def _tokenizer(port: Port, component: ComponentSpec) -> tuple[Path, str]:
    """Return the tokenizer.json that comes with the source, or was made of its metadata; and its digest."""
    fetched = port.result("fetch", component)
    own = component.path + "/" * bool(component.path) + TOKENIZER
    for file in fetched["files"]:
        if file["path"] == own:
            return port.snapshot_root(component) / own, str(file["sha256"])
    return port.made(component) / TOKENIZER, str(fetched.get("made", {}).get(TOKENIZER, ""))


def _weights(port: Port, component: ComponentSpec, source: str) -> list[Any]:
    result = port.result(source, component)
    wanted = set(result["weight_names"])
    return [file for file in result["files"] if file["path"] in wanted]
