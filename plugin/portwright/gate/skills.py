"""Lay the committed port.toml and Skills out in a temporary folder, and hold the Skill against port.lock."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import PortError, Problem
from ..inputs import LOCK
from ..records import PortSpec
from ..skill import load_skill
from ..spec import load_port
from .reader import REBUILD, Reader
from .tree import FILE, Tree

_LIMIT = 1 << 20  # no rules file of ours comes near


@contextmanager
def committed_skills(tree: Tree) -> Iterator[Path]:
    """Give a temporary folder that holds the Skills of the tree, and nothing else, at their own paths."""
    with tempfile.TemporaryDirectory(prefix="portwright-gate-") as name:
        top = Path(name).resolve()
        (top / ".git").mkdir()  # the search for Skills goes up to here
        for path, kind in tree.kinds().items():
            *folders, name = path.split("/")
            if kind != FILE or "skills" not in folders[:-1] or not (name == "SKILL.md" or name.endswith(".toml")):
                continue
            try:
                content = tree.read(path, _LIMIT)
            except PortError:
                continue
            with suppress(OSError):  # a name that this file system cannot hold; the Skill that lacks it says so
                (top / path).parent.mkdir(parents=True, exist_ok=True)
                (top / path).write_bytes(content)
        yield top


def read_port(reader: Reader, top: Path) -> PortSpec | None:
    """Read port.toml with the committed Skills; gives None, with every problem noted, unless it is wholly right."""
    content = reader.content("port.toml", _LIMIT)
    if content is None:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        reader.report("port.toml", f"it is not UTF-8 (byte {error.start})", "save it as UTF-8")
        return None
    file = top / reader.at("port.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return load_port(file, text)
    except RecursionError:
        reader.report("port.toml", "its values nest too deeply", "write it by hand, or `portwright init` it again")
    except PortError as error:
        reader.problems += [_from_top(problem, top, reader) for problem in error.problems]
    return None


def _from_top(problem: Problem, top: Path, reader: Reader) -> Problem:
    problem = without_folder(problem, top)
    if problem.where.startswith("port.toml"):
        return replace(problem, where=reader.at(problem.where))
    return problem


def without_folder(problem: Problem, top: Path) -> Problem:
    """Name a file by its path in the repository, not in the temporary folder `top`."""
    return replace(problem, where=problem.where.replace(f"{top}/", ""), problem=problem.problem.replace(f"{top}/", ""))


def check_skill(
    reader: Reader, spec: PortSpec, lock: Mapping[str, Any], evidence: Mapping[str, Any], top: Path
) -> None:
    """Note a Skill of another content than the one that the port was made with, naming both versions."""
    locked = lock["skill"]
    if locked["name"] != spec.skill:
        reader.report(
            LOCK, f"it was made with the Skill {locked['name']!r}, and port.toml names {spec.skill!r}", place="skill"
        )
        return
    try:
        skill = load_skill(spec.skill, (top / reader.folder).resolve())
        slices = skill.slices()
    except PortError as error:
        reader.problems += [_from_top(problem, top, reader) for problem in error.problems]
        return
    differing = [
        name for name, digest in sorted(locked["slices"].items()) if name != "prose" and slices.get(name) != digest
    ]
    if differing:
        versions = ", ".join(makers(evidence))
        made = f"made with {spec.skill} {locked['version']} of portwright {versions}"
        hint = REBUILD
        if skill.folders[0].is_relative_to(top):
            ours = f"{skill.folders[0].relative_to(top)} is now {skill.version}, with"
        else:
            ours = f"this hook's is {skill.version} of portwright {__version__}, with"
            if __version__ not in makers(evidence):
                hint = f"set the hook's rev to portwright {versions}, or install {__version__} and {REBUILD}"
        reader.report(LOCK, f"{made}; {ours} other {' and '.join(differing)}", hint, place="skill")


def makers(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the versions of portwright that the figures were measured with."""
    return tuple(sorted({str(run["env"]["portwright"]) for run in evidence["runs"].values()}))
