"""Rewrite the expected ports of tests/codegen/cases and the figures of architectures.json.

`python tests/codegen/regenerate.py cases` or `... architectures [NAME ...]`. Read the diff before committing it.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import bench
from grade import worst

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "architectures.json"


def cases() -> None:
    from test_cases import CASES, load

    with tempfile.TemporaryDirectory() as folder:
        for case, report in zip(CASES, bench([load(c) for c in CASES], Path(folder)), strict=True):
            (case / "model.py").write_text((Path(report["port"]) / "model.py").read_text())
            print(
                case.name,
                len(report["holes"]),
                "holes, worst error",
                worst({"figures": [f for f in report["figures"] if "refused" not in f]}),
            )


def figures_of(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a library architecture's port: never its text."""
    errors = worst({"figures": [f for f in report["figures"] if "refused" not in f]})
    kept = {k: report.get(k) for k in ("digest", "classes", "lines")}
    libraries = {k: importlib.metadata.version(k) for k in ("transformers", "diffusers", "torch", "black")}
    return {**kept, "libraries": libraries, "holes": len(report.get("holes", ())), "error": f"{errors:.1e}"}


def architectures(names: list[str]) -> None:
    table = json.loads(FIGURES.read_text())
    wanted = names or list(table)
    with tempfile.TemporaryDirectory() as folder:
        for name, report in zip(wanted, bench([table[n]["case"] for n in wanted], Path(folder)), strict=True):
            table[name]["figures"] = figures_of(report)
            print(name, table[name]["figures"], report.get("error", ""))
            for hole in report.get("holes", ()):
                print("   hole", hole["where"], hole["reason"])
    FIGURES.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    cases() if sys.argv[1] == "cases" else architectures(sys.argv[2:])
