"""`doit port` where nothing changed, against a doit run with nothing to do, in alternating runs.

    python benchmarks/noop.py [folder] [--rounds 15] [--json]

The folder (default: the repository's root) must hold finished ports: run `doit port` there first. Both sides are the
same interpreter running `python -m doit`, with byte code cached as Python does unless it is told not to. Times are of
the whole process, in milliseconds: wall clock, and processor time beside it. The ratio that is held to the bar is of
the two minima on the clock, since everything that disturbs a run makes it longer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BAR = 2.0  # times an empty doit run
EMPTY = 'def task_nothing():\n    return {"actions": None, "uptodate": [True]}\n'


@dataclass(frozen=True)
class Run:
    """One doit process: milliseconds on the clock, milliseconds of processor time, what it printed."""

    clock: float
    processor: float
    said: str


def timed(folder: Path, words: list[str]) -> Run:
    """Run doit in a folder; exits where it fails."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "doit", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"doit {' '.join(words)} in {folder} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(clock * 1e3, processor * 1e3, done.stdout)


def measure(folder: Path, rounds: int) -> tuple[list[Run], list[Run]]:
    """Alternate the two runs; returns those of the empty doit and those of `doit port`."""
    with tempfile.TemporaryDirectory(prefix="portwright-") as scratch:
        empty = Path(scratch)
        (empty / "dodo.py").write_text(EMPTY, encoding="utf-8")
        timed(empty, [])  # byte code, page cache, and doit's own database
        if "nothing to do" not in (timed(folder, ["port"]), timed(folder, ["port"]))[1].said:
            raise SystemExit(f"{folder} is not built: run `doit port` there first")
        pairs = [(timed(empty, []), timed(folder, ["port"])) for _ in range(rounds)]
    return [bare for bare, _ in pairs], [noop for _, noop in pairs]


def figures(runs: list[Run]) -> dict[str, float]:
    """Summarise runs: least and median time on the clock, least processor time."""
    clock = [run.clock for run in runs]
    return {
        "min": min(clock),
        "median": statistics.median(clock),
        "processor": min(run.processor for run in runs),
    }


def main() -> int:
    """Print the figures; returns 1 above the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    bare, noop = measure(args.folder, args.rounds)
    empty, port = figures(bare), figures(noop)
    ratio = {name: port[name] / empty[name] for name in empty}
    if args.json:
        said = noop[-1].said.strip()
        print(json.dumps({"command": "doit port", "said": said, "empty": empty, "port": port, "ratio": ratio}))
    else:
        print(f"`doit port` said: {noop[-1].said.strip()}")
        for name, found in (("empty doit run", empty), ("doit port", port)):
            print(f"{name:<15} min {found['min']:5.0f} ms   median {found['median']:5.0f} ms", end="")
            print(f"   processor {found['processor']:5.0f} ms")
        print(f"ratio           min {ratio['min']:5.2f}, at most {BAR}   median {ratio['median']:5.2f}", end="")
        print(f"   processor {ratio['processor']:5.2f}")
    return int(ratio["min"] > BAR)


if __name__ == "__main__":
    raise SystemExit(main())
