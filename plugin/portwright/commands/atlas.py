"""atlas: try every model of transformers and diffusers, and write the page that says how far each comes."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem

LIBRARIES = ("transformers", "diffusers")
PAGE = Path("docs/atlas.md")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="model types or classes (default: every one)")
    parser.add_argument("--library", action="append", choices=LIBRARIES, help="only this library")
    parser.add_argument("--results", type=Path, default=Path("atlas.jsonl"), help="JSON lines, resumed where they are")
    parser.add_argument("--page", type=Path, help=f"the page to write (default: {PAGE}; of a part, none)")
    parser.add_argument("--report", action="store_true", help="only write the page from the results")
    parser.add_argument("--jobs", type=int, default=1, help="tries at a time (default: 1)")
    parser.add_argument("--time-limit", type=float, default=180.0, metavar="SECONDS", help="of a try (default: 180)")
    parser.add_argument("--memory-limit", type=float, default=8.0, metavar="GIB", help="of a worker (default: 8)")
    parser.add_argument("--sample", type=int, help="only so many, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--again", action="append", default=[], metavar="STATUS", help="try those of this status again")


def run(args: argparse.Namespace) -> int:
    from ..atlas.report import report
    from ..atlas.results import read
    from ..atlas.sweep import Plan, sweep

    if not args.report:
        limits = (args.jobs, args.time_limit, args.memory_limit)
        plan = Plan(args.library or LIBRARIES, args.names, args.sample, args.seed, *limits, args.again)
        args.results.parent.mkdir(parents=True, exist_ok=True)
        sweep(plan, args.results, _show, shlex.join(["portwright", *sys.argv[1:]]))
    models, runs = read(args.results)
    if not models:
        raise PortError(Problem(str(args.results), "has no results", "run `portwright atlas` first"), ExitCode.USAGE)
    whole = args.report or not (args.names or args.library or args.sample)
    page = args.page or (PAGE if whole else None)
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        partial = page.with_suffix(".partial")
        partial.write_text(report(models, runs), encoding="utf-8")
        partial.replace(page)
    ported = sum(m["status"] == "ported" for m in models.values())
    print(f"{page or args.results}: {len(models)} models, {ported} ported")
    return int(ExitCode.OK)


def _show(record: dict[str, Any], done: int, total: int) -> None:
    said = [hole["reason"] for hole in record["holes"]] + [p["problem"].strip() for p in record["problems"]]
    reason = said[0].splitlines()[-1] if said and said[0] else ""
    model = f"{record['library']}:{record['name']}"
    text = f"{done}/{total} {model} {record['status']} {record['seconds'] or 0:.0f} s {reason}"
    print(text[:200], file=sys.stderr, flush=True)
