"""What the smaller hooks look at: every port.toml, and every Skill with its rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import PortError, Problem
from .gate import is_below, ports_of
from .reader import Reader
from .skill_md import skill_md_problems
from .skills import committed_skills, read_port, without_folder
from .tree import FILE, Tree

_LIMIT = 1 << 20


def spec_problems(tree: Tree, only: Sequence[str] = ()) -> list[Problem]:
    """Give everything that is wrong with the port.toml files of a tree, below the folders `only`."""
    found: list[Problem] = []
    with committed_skills(tree) as top:
        for folder in ports_of(tree, only):
            reader = Reader(tree, folder)
            read_port(reader, top)
            found += reader.problems
    return list(dict.fromkeys(found))


def skill_problems(tree: Tree, only: Sequence[str] = ()) -> list[Problem]:
    """Give everything that is wrong with the Skills of a tree: SKILL.md, skill.toml, rules."""
    kinds = tree.kinds()
    folders = {path.rpartition("/")[0] for path in kinds if path.endswith(("/SKILL.md", "/skill.toml"))}
    folders = {folder for folder in folders if _is_ours(folder)}
    found: list[Problem] = []
    with committed_skills(tree) as top:
        for folder in sorted(folder for folder in folders if is_below(folder, only)):
            found += _folder_problems(tree, folder, top)
    return list(dict.fromkeys(found))


def _is_ours(folder: str) -> bool:
    """Tell our Skills from those of other tools, which lie in folders such as `.claude/skills`."""
    parts = folder.split("/")
    return "skills" in parts[:-1] and not any(part.startswith(".") for part in parts)


def _folder_problems(tree: Tree, folder: str, top: Path) -> Iterator[Problem]:
    kinds = tree.kinds()
    prose, data = f"{folder}/SKILL.md", f"{folder}/skill.toml"
    for path in (prose, data):
        if kinds.get(path, FILE) != FILE:
            yield Problem(path, f"it is {kinds[path]}; the gate reads only files of this repository")
    if prose not in kinds:
        yield Problem(
            prose, "the Skill has no SKILL.md", "write one: frontmatter with name and description, then prose"
        )
    elif kinds[prose] == FILE:
        try:
            yield from skill_md_problems(prose, tree.read(prose, _LIMIT))
        except PortError as error:
            yield from error.problems
    for path in kinds:
        if path.startswith(f"{folder}/references/") and path.count("/") > folder.count("/") + 2:
            yield Problem(path, "references nest deeper than one level", f"move it to {folder}/references/")
    if kinds.get(data) == FILE:
        yield from _data_problems(top / folder, top)


def _data_problems(folder: Path, top: Path) -> Iterator[Problem]:
    from ..rules.load import load_rules
    from ..skill import load_skill

    try:
        load_skill(folder.name, folder)
    except PortError as error:
        yield from (without_folder(problem, top) for problem in error.problems)
    except RecursionError:
        yield Problem(f"{folder.relative_to(top)}/skill.toml", "its values nest too deeply")
    try:
        load_rules(folder)
    except PortError as error:
        name = folder.relative_to(top).as_posix()
        yield from (replace(problem, where=f"{name}/{problem.where}") for problem in error.problems)
    except RecursionError:
        yield Problem(f"{folder.relative_to(top)}/rules.toml", "its values nest too deeply")
