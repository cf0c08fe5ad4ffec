"""The zoo: small modules of other people's styles, each ported and compared on inputs and configs never observed.

`python tests/codegen/zoo.py [FILE[:Class] ...]` prints a verdict for each: "ported" (right on everything), "refused"
(an error names why), "holes", or "WRONG". Nothing in the zoo was written to fit the generator.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import bench, run_side

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "zoo"
FILES = ("tensors", "control", "layers", "nets", "pictures", "outputs")
TOLERANCE = 1e-5  # relative L2 in float32, as everywhere


def write_inputs(job: dict[str, Any]) -> list[list[str]]:
    """Torch side: draw the inputs of a class; returns a class' files, config by config."""
    from portwright.reference.probes import write_probe

    sys.path.insert(0, str(FOLDER))
    entry = importlib.import_module(job["file"]).ZOO[job["class"]]
    made = []
    plans = [(i, True) for i in entry["seen"]] + [(i, False) for i in (*entry["unseen"], *entry.get("inputs", ()))]
    for index, (plan, observed) in enumerate(plans):
        path = Path(job["out"]) / f"inputs{index}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_probe(path, probe_of(plan, index, observed))
        made.append(str(path))
    others = [{"kwargs": {**entry.get("kwargs", {}), **o}} for o in entry.get("others", ())]
    return [made, [{"kwargs": entry.get("kwargs", {})}, *others]]  # type: ignore[list-item]


def probe_of(plan: dict[str, Any], seed: int, observed: bool) -> Any:
    import torch
    from portwright.reference.probes import Probe

    g = torch.Generator().manual_seed(seed + 1)
    tensors = {k: drawn(v, g) for k, v in plan.items() if isinstance(v, str)}
    kwargs = {k: v for k, v in plan.items() if not isinstance(v, str)}
    return Probe(f"inputs{seed}", tensors, kwargs, seed, observed)


def drawn(spec: str, g: Any) -> Any:
    """`f 2 5`: normal floats (`+30` shifts them); `i 2 5 9`: integers below 9; `b`: booleans; `m`: True for padding."""
    import torch

    kind, *rest = spec.split()
    shift = float(rest.pop()) if rest[-1].startswith("+") else 0.0
    sizes = [int(r) for r in rest]
    if kind == "f":
        return torch.randn(sizes, generator=g) + shift
    if kind == "i":
        return torch.randint(0, sizes[-1], sizes[:-1], generator=g)
    if kind == "ones":
        return torch.ones(sizes)
    if kind == "m":
        return torch.arange(sizes[1])[None] >= sizes[1] - torch.arange(sizes[0])[:, None] % 3
    return torch.rand(sizes, generator=g) > 0.4


def zoo(names: list[tuple[str, str]], folder: Path) -> dict[str, dict[str, Any]]:
    """Reports by `file:Class`."""
    jobs = [{"file": f, "class": c, "out": str(folder / "inputs" / f / c)} for f, c in names]
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for job, made in zip(jobs, run_side("inputs", jobs, folder), strict=True):
        probes, configs = made
        reference = f"{job['file']}:{job['class']}"
        cases.append(
            {"reference": reference, "configs": configs, "probes": probes, "path": str(FOLDER), "lenient": True}
        )
    return dict(zip([f"{f}:{c}" for f, c in names], bench(cases, folder / "ports"), strict=True))


def verdict(report: dict[str, Any]) -> tuple[str, list[str]]:
    """ "ported", "refused", "holes" or "WRONG", with what to say about it."""
    if report.get("holes"):
        return "holes", [f"{h['where']}: {h['reason']}" for h in report["holes"]]
    wrong, refused = [], []
    for figure in report["figures"]:
        where = f"config {figure.get('config')} {figure.get('probe', '')}"
        if "refused" in figure:
            refused.append(f"{where}: {figure['refused']}")
        elif "failed" in figure and figure["failed"].startswith(("NotImplementedError", "ValueError: not ported")):
            refused.append(f"{where}: {figure['failed']}")
        elif "failed" in figure:
            wrong.append(f"{where}: {figure['failed']}")
        elif any(not isinstance(e, float) or not e < TOLERANCE for e in figure["errors"]):
            wrong.append(f"{where}: {figure['errors']}")
    return ("WRONG", wrong) if wrong else ("refused" if refused else "ported", refused)


def classes(wanted: list[str]) -> list[tuple[str, str]]:
    """Every class of the zoo, or those asked for; read without importing torch."""
    import ast

    found = []
    for file in FILES:
        tree = ast.parse((FOLDER / f"{file}.py").read_text())
        table = next(n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ZOO")
        found += [(file, k.value) for k in table.value.keys]  # type: ignore[attr-defined]
    return [(f, c) for f, c in found if not wanted or f in wanted or f"{f}:{c}" in wanted]


def main(names: list[str]) -> int:
    keep = next((n[len("--keep=") :] for n in names if n.startswith("--keep=")), None)
    with tempfile.TemporaryDirectory() as scratch:
        reports = zoo(classes([n for n in names if not n.startswith("--")]), Path(keep or scratch))
    verdicts = {name: verdict(report) for name, report in reports.items()}
    for name, (said, lines) in verdicts.items():
        print(f"{said:8} {name}")
        for line in lines:
            print("        ", line[:300])
    counts: dict[str, int] = {}
    for said, _ in verdicts.values():
        counts[said] = counts.get(said, 0) + 1
    print(counts)
    return 1 if counts.get("WRONG") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
