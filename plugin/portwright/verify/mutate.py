"""Verify the verifier: plant bugs in a port, one at a time, and see whether the checks catch each and blame its place.

`python -m portwright.verify.mutate JOB.json`; the job is the measure worker's, with "mutants"?: [names]. MLX side.
The result lists, for each mutant that applies: who caught it, what was blamed, and whether that was the right place.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from portwright.errors import PortError, Problem
from portwright.verify.blame import blame, failing
from portwright.verify.checks import REGISTRY
from portwright.verify.measure.bench import Bench, Job
from portwright.verify.measure.port import Port, paths_of, read_safetensors, weight_files
from portwright.verify.measure.stage import measure_all, parsed
from portwright.verify.mutants import CodeMutant, code_mutants
from portwright.verify.tolerance import DISTANCES
from portwright.verify.weight_mutants import WEIGHTS, WeightMutant
from portwright.workers import Emit, worker_main

JUDGED = [name for name in REGISTRY if name != "speed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one planted bug."""

    mutant: str
    bug: str
    where: str  # the class or the parameter that was changed
    caught: bool
    by: tuple[str, ...]  # the checks that failed, without their `where`
    blamed: str | None
    right: bool  # whether the blame names a module that holds the bug
    message: str
    times: float  # the greatest distance as a multiple of its noise; 0 where only exact checks caught it


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Plant every mutant that applies; returns the outcomes."""
    wanted = set(job.get("mutants") or ())
    port = Path(job["port"])
    catalogue: list[CodeMutant | WeightMutant] = [*code_mutants(), *WEIGHTS]
    rows = [m for m in catalogue if not wanted or m.name in wanted]
    outcomes: list[Outcome] = []
    clean = measured(parsed({**job, "checks": JUDGED}, Path(job["golden"])))
    if failing(clean) or clean["not_run"]:
        raise PortError(Problem(str(port), f"fails before anything is planted: {failing(clean)} {clean['not_run']}"))
    for done, mutant in enumerate(rows):
        emit.progress(done, len(rows), "mutants", mutant.name)
        with tempfile.TemporaryDirectory(prefix="portwright-") as folder:
            planted = plant(mutant, port, Path(folder) / "port")
            if planted is not None:
                outcomes.append(judge(mutant, *planted, Path(folder) / "port", job))
    return {"outcomes": [asdict(o) for o in outcomes], "caught": sum(o.caught for o in outcomes), "of": len(outcomes)}


def plant(mutant: CodeMutant | WeightMutant, port: Path, folder: Path) -> tuple[str, set[str]] | None:
    """Make the mutated port in `folder`; gives what was changed and the modules that may be blamed for it."""
    shutil.copytree(port, folder, ignore=shutil.ignore_patterns("*.safetensors", "golden"), copy_function=shutil.copy)
    if isinstance(mutant, WeightMutant):
        made = mutant.apply({k: v for file in weight_files(port) for k, v in read_safetensors(file).items()})
        if made is None:
            return None
        mx.save_safetensors(str(folder / "model.safetensors"), made[0])
        return made[1], {made[1].rpartition(".")[0], *_parents(made[1])}
    code = folder / "model.py"
    edited = mutant.apply(code.read_text(encoding="utf-8"))
    if edited is None:
        return None
    places = owners(code.read_text(encoding="utf-8"), edited[1])
    code.write_text(edited[0], encoding="utf-8")
    for file in weight_files(port):
        (folder / file.name).symlink_to(file.resolve())
    return ", ".join(sorted(places)) or "model.py", modules_of(port, places)


def judge(mutant: CodeMutant | WeightMutant, where: str, places: set[str], port: Path, job: dict[str, Any]) -> Outcome:
    """Run the checks on a mutated port and see what they say."""
    planted = {**job, "port": str(port), "portmap": None, "out": str(port / "measurements.json")}
    body = measured(parsed({**planted, "checks": JUDGED}, Path(job["golden"])))
    failed = failing(body) + [item["check"] for item in body["not_run"]]
    blamed = blame(body)
    message = next((d for c in failed if (d := body["checks"].get(c, {}).get("detail"))), "")
    if blamed is None or "/" not in blamed:
        right = blamed in places
    else:  # a check is blamed: no module alone is wrong, so its message must name the place, or the root is meant
        message = body["checks"].get(blamed, {}).get("detail", "") or message
        right = "" in places or any(place in message for place in places)
    caught = tuple(sorted({check.partition("/")[0] for check in failed}))
    return Outcome(
        mutant.name, mutant.bug, where, bool(failed), caught, blamed, bool(failed) and right, message[:500], times(body)
    )


def times(body: Mapping[str, Any]) -> float:
    """How far beyond its noise the worst distance of a measurement is."""
    found = [c for c in body["checks"].values() if c["metric"] in DISTANCES and c["origin"] != "budget"]
    views = [*found, *(c["scaled_max"] for c in found if "scaled_max" in c)]
    return max((v["value"] / v["noise"] for v in views if v["noise"]), default=0.0)


def measured(job: Job) -> dict[str, Any]:
    """The part of measurements.json that a judgement needs; a port that cannot be loaded has failed."""
    try:
        bench = Bench(job)
        checks, not_run = measure_all(bench)
    except PortError as error:
        failed = {"metric": "mismatches", "value": 1.0, "noise": 0.0, "origin": "exact", "detail": str(error)}
        return {"checks": {"coverage/run": failed}, "not_run": [], "order": []}
    return {"checks": checks, "not_run": not_run, "order": bench.golden.body["order"]}


def owners(text: str, line: int) -> set[str]:
    """The classes that a line belongs to: its own, or those that use the function it is in; {"Model"} for the root."""
    body = ast.parse(text).body
    for node in body:
        if not (node.lineno <= line <= (node.end_lineno or node.lineno)):
            continue
        if isinstance(node, ast.ClassDef):
            return {node.name}
        if isinstance(node, ast.FunctionDef):
            return {c.name for c in body if isinstance(c, ast.ClassDef) and _uses(c, node.name)}
    return set()


def _uses(node: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def modules_of(port: Path, classes: set[str]) -> set[str]:
    """The reference modules whose code these classes are, and the children that their constructors configure."""
    loaded = Port(port)
    model = loaded.declare()
    found: set[str] = {""} if classes & {"Model", "ModelArgs"} or type(model).__name__ in classes else set()
    for path, module in paths_of(model).items():
        own = type(module).__name__ in classes
        built_here = _parent_type(model, path) in classes
        if own or built_here:
            found.add(loaded.portmap["modules"].get(path, {}).get("ref", path))
    return found


def _parent_type(model: nn.Module, path: str) -> str:
    modules = {"": model, **paths_of(model)}
    while path:
        path = path.rpartition(".")[0]
        if path in modules:
            return type(modules[path]).__name__
    return ""


def _parents(key: str) -> Iterator[str]:
    """Modules that may read a parameter themselves."""
    owner = key.rpartition(".")[0]
    while owner:
        yield owner
        owner = owner.rpartition(".")[0]


if __name__ == "__main__":
    worker_main(run)
