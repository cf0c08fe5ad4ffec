"""skill: list the Skills that a port here can name, or copy a built-in one into this repo to edit."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from ..errors import ExitCode, PortError, Problem
from ..resources import data_dir
from ..skill import available, load_skill


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the Skills that a port here can name")
    copy = actions.add_parser("copy", help="copy a built-in Skill into skills/ of this folder")
    copy.add_argument("name")
    copy.add_argument("--to", default="skills", type=Path, help="the folder that receives it (default: skills)")


def run(args: argparse.Namespace) -> int:
    return _copy(args.name, args.to) if args.action == "copy" else _list()


def _list() -> int:
    here = Path.cwd()
    problems: list[Problem] = []
    for name, folder in sorted(available(here).items()):
        try:
            skill = load_skill(name, here)
        except PortError as error:
            problems += error.problems
            continue
        own = folder.relative_to(here) if folder.is_relative_to(here) else folder
        origin = "built-in" if folder.parent == data_dir("skills") else str(own)
        print(f"{name:<20} {skill.version:<8} {origin}")
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return int(ExitCode.OK)


def _copy(name: str, to: Path) -> int:
    source = data_dir("skills") / name
    if not (source / "skill.toml").is_file():
        known = ", ".join(sorted(f.name for f in data_dir("skills").iterdir() if (f / "skill.toml").is_file()))
        raise PortError(
            Problem("skill copy", f"there is no built-in Skill {name!r}", f"one of: {known}"), ExitCode.USAGE
        )
    target = to / name
    if target.exists():
        raise PortError(Problem(str(target), "is there already", "edit it, or move it away first"), ExitCode.USAGE)
    to.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=to))
    try:
        shutil.copytree(source, fresh / name)
        (fresh / name).replace(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    print(f"{target}: copied; ports in this repo use it from now on")
    return int(ExitCode.OK)
