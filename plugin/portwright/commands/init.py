"""init: draft port.toml, dodo.py, the pre-commit configuration and .gitignore for a source."""

from __future__ import annotations

import argparse
from math import prod
from pathlib import Path

from .. import draft, scaffold
from ..errors import ExitCode, PortError, Problem
from ..paths import cache_root
from ..publish import publish_text
from ..skill import load_skill
from ..sources import parse_source, peek
from ..spec import load_port


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="hf:org/name@revision, pypi:dist==version or file:path")
    parser.add_argument("--name", help="the port's name in tasks and reports (default: from the source)")
    parser.add_argument("--skill", help="the Skill to follow (default: the one whose `detect` fits)")


def run(args: argparse.Namespace) -> int:
    here = Path.cwd()
    target = here / "port.toml"
    if target.exists():
        hint = "edit it, or run init in another folder: one port.toml a folder"
        raise PortError(Problem("port.toml", "is there already", hint), ExitCode.USAGE)
    source = parse_source(args.source)
    seen = peek(source, cache=cache_root(), base=here)
    found = draft.find_components(seen.texts, dict(seen.files), seen.architectures)
    skill = load_skill(args.skill, here) if args.skill else draft.choose_skill(found, here)
    text = draft.draft(source.text, args.name or draft.default_name(source.text), found, skill)
    load_port(target, text)  # nothing is written that would be refused

    top = _repository(here)
    config = top / ".pre-commit-config.yaml"
    ignored = tuple(scaffold.IGNORED)
    dodo = _dodo(here, top)
    files = {  # everything is composed before anything is written
        **({} if dodo is None else {dodo: scaffold.dodo(_read(dodo))}),
        config: scaffold.pre_commit_config(_read(config), scaffold.origin(), config.name),
        here / ".gitignore": scaffold.gitignore(_read(here / ".gitignore"), ignored),
        target: text,
    }
    for path, content in files.items():
        written = publish_text(path, content)
        print(f"{'wrote' if written else 'kept '} {path.relative_to(top)}")
    parameters = sum(prod(info.shape) for header in seen.headers.values() for info in header.values())
    plural = "s" if len(found) > 1 else ""
    print(f"{source.text}: {len(found)} component{plural}, {parameters:,} numbers, Skill {skill.name}")
    print("next: pre-commit install && doit port")
    return int(ExitCode.OK)


def _dodo(here: Path, top: Path) -> Path | None:
    """Return the dodo.py to write: one further up that already has our tasks serves the ports below it, and so does a
    pyproject.toml that names our loader (then None)."""
    for folder in (here, *here.parents):
        if scaffold.brings_tasks(_read(folder / "dodo.py") or ""):
            return folder / "dodo.py"
        if scaffold.names_loader(_read(folder / "pyproject.toml") or ""):
            return None
        if folder == top:
            break
    return here / "dodo.py"


def _repository(folder: Path) -> Path:
    """Return the top of the git repository, or the folder itself."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")  # line ends as they are
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise PortError(Problem(path.name, "not UTF-8 text", "save it as UTF-8"), ExitCode.USAGE) from None
