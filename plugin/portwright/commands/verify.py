"""verify: measure the port that lies here on this machine, and add its run to the evidence. It needs mlx, not torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ExitCode


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", type=Path, help="the folder of the port.toml (default: here)")
    parser.add_argument(
        "--golden", type=Path, help="a file made by `portwright golden pack` (default: the unpacked one)"
    )
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        help="build everything anew in a temporary folder (needs torch) and hold the committed evidence against it",
    )


def run(args: argparse.Namespace) -> int:
    if args.from_scratch:
        from ..scratch import from_scratch

        problems = from_scratch(args.folder, _show)
        for problem in problems:
            print(problem)
        print("the evidence does not hold" if problems else "measured anew: the committed evidence holds")
        return int(ExitCode.FAILED if problems else ExitCode.OK)
    from ..remeasure import remeasure

    summary = remeasure(args.folder, args.golden, _show)
    print(summary.as_text(), end="")
    return int(ExitCode.FAILED if summary.problems() else ExitCode.OK)


def _show(event: dict[str, Any]) -> None:
    import sys

    if event.get("event") == "log":
        print(event["text"], file=sys.stderr)
