"""Name the command that mends each problem: `git add` where the working tree is right already, else a rebuild."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from ..errors import PortError, Problem
from ..inputs import component_files
from .port import COMPANIONS, PortReport, judge_port
from .reader import REBUILD
from .skills import committed_skills
from .tree import FILE, GitTree, Tree, WorkTree, is_ignored, open_index, whole_index


def with_commands(tree: GitTree, report: PortReport) -> tuple[Problem, ...]:
    """Give a port's problems with the command to type."""
    if not report.problems:
        return ()
    work = WorkTree(tree.root, tree.kinds())
    if not tree.committed:
        differing = _differing(tree, work, report)
        command = f"git add {' '.join(map(shlex.quote, differing))}"
        if differing and _is_right(work, report):
            return _with_hint(report, command)
        whole = whole_index(tree.root)
        if whole is not None and _is_right_whole(tree.root, whole, report):
            hint = "what is staged would pass: commit without naming files, or name the port's other files too"
            return _with_hint(report, hint)
    rebuild = f"{REBUILD}:{report.name}" if report.name else REBUILD
    proof = shlex.quote(report.folder.rstrip("/")) if report.folder else f"port.* {report.out}"
    then = f", then git add {proof}" + (", commit, and push again" if tree.committed else "")
    return tuple(
        replace(problem, hint=problem.hint.replace(REBUILD, rebuild) + (then if problem.hint.endswith(REBUILD) else ""))
        for problem in report.problems
    )


def _with_hint(report: PortReport, hint: str) -> tuple[Problem, ...]:
    """Put one command in the place of every rebuild; a problem that asks for something else keeps its own."""
    return tuple(replace(p, hint=hint) if not p.hint or REBUILD in p.hint else p for p in report.problems)


def _differing(tree: Tree, work: WorkTree, report: PortReport) -> list[str]:
    """List the port's files whose content on disk is not the one that git holds."""
    kinds, disk = tree.kinds(), work.kinds()
    inside = [path for path in kinds if path.startswith(f"{report.folder}{report.out}/") or "skills/" in path]
    likely = [f"{report.folder}{report.out}/{file}" for file in component_files(["model"])]
    likely += [f"{report.folder}{name}" for name in ("port.toml", *COMPANIONS)]
    found = []
    for path in sorted({*inside, *likely}):
        if disk.get(path) != FILE:
            continue
        if path not in kinds and is_ignored(work.root, path):
            continue
        try:
            if kinds.get(path) != FILE or tree.sha256(path) != work.sha256(path):
                found.append(path)
        except PortError:
            found.append(path)
    return found


def _is_right_whole(root: Path, index: str, report: PortReport) -> bool:
    """Tell whether the port passes as it lies in the whole index of a partial commit."""
    try:
        with open_index(root, index) as tree, committed_skills(tree) as top:
            return not judge_port(tree, report.folder, top).problems
    except PortError:
        return False


def _is_right(work: WorkTree, report: PortReport) -> bool:
    """Tell whether the port passes as it lies on disk."""
    with committed_skills(work) as top:
        return not judge_port(work, report.folder, top).problems
