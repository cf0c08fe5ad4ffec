"""The architectures of tests/architectures.toml: generate from config A, compare on A and on B, which nothing observed.

`python tests/codegen/architectures.py` runs all of them and prints a table; names run those, `--listed` leaves out what
is marked `extra`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tomli
from bench import bench

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-4  # relative L2 of any output, float32
QUARTERS = 4


def architectures() -> dict[str, dict[str, Any]]:
    """Every entry by name, as a case for `bench`; `extra` entries are not run by CI."""
    found: dict[str, dict[str, Any]] = {}
    for entry in tomli.loads((HERE.parent / "architectures.toml").read_text(encoding="utf-8"))["architecture"]:
        assert entry["name"] not in found, f"two architectures are called {entry['name']}"
        found[entry["name"]] = {
            "name": entry["name"],
            "kind": entry["kind"],
            "reference": entry["reference"],
            "configs": [entry["a"], entry["b"]],
            "overrides": entry.get("probes", {}),
            "extra": entry.get("extra", False),
        }
    return found


def quarter() -> int:
    """Which quarter this commit runs: its hash decides, or PORTWRIGHT_QUARTER where that is set."""
    given = os.environ.get("PORTWRIGHT_QUARTER")
    if given is not None:
        return int(given) % QUARTERS
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    return int(done.stdout.strip() or "0", 16) % QUARTERS


def of_quarter(which: int) -> list[dict[str, Any]]:
    """Every fourth of the architectures that CI runs."""
    listed = [case for case in architectures().values() if not case["extra"]]
    return listed[which::QUARTERS]


def errors(report: dict[str, Any]) -> dict[str, float]:
    """The worst relative error of what was observed, of other inputs, and of config B; infinite where it failed."""
    worst = {"observed": 0.0, "unobserved": 0.0, "other config": 0.0}
    met = dict.fromkeys(worst, False)
    for figure in report["figures"]:
        key = "other config" if figure.get("config") else "observed" if figure.get("observed") else "unobserved"
        values = [float("inf")] if "failed" in figure else figure.get("errors", [])
        worst[key] = max(worst[key], *[v if v == v else float("inf") for v in values], 0.0)
        met[key] |= bool(values)
    return {k: v if met[k] else float("inf") for k, v in worst.items()}


def fails(report: dict[str, Any]) -> str:
    """Why an architecture is not ported, "" where it is."""
    if report.get("error"):
        return str(report["error"])
    if report.get("holes"):
        return f"{len(report['holes'])} holes: " + "; ".join(sorted({h["reason"] for h in report["holes"]}))
    found = {k: v for k, v in errors(report).items() if not v <= TOLERANCE}
    if found:
        failed = next((f["failed"] for f in report["figures"] if "failed" in f), "")
        return ", ".join(f"{k}: {v:.1e}" for k, v in found.items()) + (f" ({failed})" if failed else "")
    return ""


def main(arguments: list[str]) -> int:
    """Run the wanted architectures one by one, and print a line for each."""
    table = architectures()
    names = [a for a in arguments if not a.startswith("--")] or list(table)
    if "--listed" in arguments:
        names = [n for n in names if not table[n]["extra"]]
    ported = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            report = bench([table[name]], Path(folder))[0]
        why, found = fails(report), errors(report)
        ported += not why
        shown = " ".join(f"{v:.1e}" for v in found.values())
        layout = next((f["layout"] for f in report["figures"] if f.get("layout")), None)
        if layout is not None:
            shown += f"  {layout['transposes']} transposes of layout, minimum {layout['minimum']}"
        print(f"{name:28} {report.get('lines', 0):5} lines  {shown}  {why or 'ported'}"[:220], flush=True)
    print(f"{ported} of {len(names)} ported")
    return int(ported < len(names))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
