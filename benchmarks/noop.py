"""`doit port` where nothing changed, against a doit run with nothing to do, in alternating runs.

    python benchmarks/noop.py [folder] [--rounds 15] [--json]

The folder (default: the repository's root) must hold finished ports: run `doit port` there first. Both sides are the
same interpreter running `python -m doit`; times are of the whole process, in milliseconds. The ratio that counts is
of the two minima, since everything that disturbs a run makes it longer; medians stand beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAR = 2.0  # times an empty doit run
EMPTY = 'def task_nothing():\n    return {"actions": None, "uptodate": [True]}\n'


def timed(folder: Path, words: list[str]) -> tuple[float, str]:
    """Run doit in a folder; returns milliseconds and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "doit", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    spent = (time.perf_counter() - start) * 1e3
    if done.returncode:
        raise SystemExit(f"doit {' '.join(words)} in {folder} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return spent, done.stdout


def measure(folder: Path, rounds: int) -> dict[str, object]:
    """Alternate the two runs; returns minima, medians and their ratio."""
    with tempfile.TemporaryDirectory(prefix="portwright-") as scratch:
        empty = Path(scratch)
        (empty / "dodo.py").write_text(EMPTY, encoding="utf-8")
        for words, place in (([], empty), (["port"], folder)):
            timed(place, words)  # byte code, page cache, and doit's own database
        _, said = timed(folder, ["port"])
        if "nothing to do" not in said:
            raise SystemExit(f"{folder} is not built: run `doit port` there first")
        pairs = [(timed(empty, [])[0], timed(folder, ["port"])[0]) for _ in range(rounds)]
    bare, noop = zip(*pairs, strict=True)
    return {
        "command": "doit port",
        "said": said.strip().splitlines()[-1],
        "rounds": rounds,
        "empty_min": min(bare),
        "empty_median": statistics.median(bare),
        "port_min": min(noop),
        "port_median": statistics.median(noop),
        "ratio_min": min(noop) / min(bare),
        "ratio_median": statistics.median(noop) / statistics.median(bare),
        "bar": BAR,
    }


def main() -> int:
    """Print the figures; returns 1 above the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(args.folder, args.rounds)
    if args.json:
        print(json.dumps(found))
    else:
        print(f"`{found['command']}` said: {found['said']}")
        print(f"empty doit run   min {found['empty_min']:6.0f} ms   median {found['empty_median']:6.0f} ms")
        print(f"doit port        min {found['port_min']:6.0f} ms   median {found['port_median']:6.0f} ms")
        print(f"ratio {found['ratio_min']:.2f} (of medians {found['ratio_median']:.2f}), at most {BAR:.1f}")
    return int(float(found["ratio_min"]) > BAR)  # type: ignore[arg-type]


if __name__ == "__main__":
    raise SystemExit(main())
