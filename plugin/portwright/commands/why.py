"""why: say for each task of this folder, or for the named ones, why it would run."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ExitCode, PortError, Problem


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", nargs="*", help="tasks as `doit list --all` names them (default: all)")


def run(args: argparse.Namespace) -> int:
    from ..stages.graph import all_stages

    stages = {stage.name: stage for stage in all_stages(Path())}
    unknown = [name for name in args.task if name not in stages]
    if unknown:
        from ..schema import nearest

        raise PortError(
            [
                Problem(name, "there is no such task", f"did you mean {nearest(name, list(stages))!r}?")
                for name in unknown
            ],
            ExitCode.USAGE,
        )
    for name in args.task or stages:
        reasons = stages[name].stale()
        if not reasons:
            print(f"{name}: up to date")
        for reason in reasons:
            print(f"{name}: {reason}")
    return int(ExitCode.OK)
