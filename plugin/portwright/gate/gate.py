"""The gate: judge every port of a tree and give the verdict as text. See docs/gate.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import Problem
from .mend import with_commands
from .port import PortReport, judge_leftovers, judge_port
from .skills import committed_skills
from .tree import GitTree, Tree, open_commit, open_index, resolve_commit, top_folder

_ZERO = set("0")


@dataclass(frozen=True)
class Judgement:
    """What the gate says of a tree: the lines to print, and whether it blocks."""

    lines: tuple[str, ...]
    blocked: bool


def run_gate(folder: Path, environ: Mapping[str, str], only: Sequence[str] = ()) -> Judgement:
    """Judge the ports of the repository around `folder`, those below the paths `only` where any are given.

    A push is judged by the commit that it pushes (`pushed_commit`), everything else by the index. Raises PortError
    where git or the repository cannot be read at all.
    """
    with opened(folder, environ) as tree:
        return _judge(tree, only)


def pushed_commit(root: Path, environ: Mapping[str, str]) -> str | None:
    """Give the commit that pre-commit runs a push (or `--to-ref`) for, None where it runs for the index.

    When a branch's root commit is among the pushed ones, pre-commit leaves PRE_COMMIT_TO_REF unset and names the local
    branch only.
    """
    revision = environ.get("PRE_COMMIT_TO_REF")
    if not revision and environ.get("PRE_COMMIT_REMOTE_NAME"):
        revision = environ.get("PRE_COMMIT_LOCAL_BRANCH")
    if not revision or set(revision) <= _ZERO:
        return None
    return resolve_commit(root, revision)


def ports_of(tree: Tree, only: Sequence[str] = ()) -> list[str]:
    """List the folders that hold a port.toml, each "" or with a final "/", below `only` where it names any."""
    folders = [path.removesuffix("port.toml") for path in tree.kinds() if path.split("/")[-1] == "port.toml"]
    return sorted(folder for folder in folders if is_below(folder, only))


def is_below(path: str, only: Sequence[str]) -> bool:
    """Tell whether a path lies in one of the folders `only`; no folder means everywhere."""
    tops = [top.strip("/").removeprefix("./") + "/" for top in only if top.strip("/") not in ("", ".")]
    return not tops or any(f"{path}/".startswith(top) for top in tops)


def _judge(tree: GitTree, only: Sequence[str]) -> Judgement:
    with committed_skills(tree) as top:
        reports = [judge_port(tree, folder, top) for folder in ports_of(tree, only)]
    problems = [problem for report in reports for problem in with_commands(tree, report)]
    problems += [problem for problem in judge_leftovers(tree) if is_below(problem.where, only)]
    lines = [f"{report.name}: {'; '.join(report.notes)}" for report in reports if not report.problems]
    lines += [shown(problem) for problem in problems]
    lines += [
        _versions(report) for report in reports if report.problems and report.made_with not in ((), (__version__,))
    ]
    if problems:
        lines.append(_sum(len(problems), tree, reports))
    elif not reports:
        lines.append(f"no port.toml in {tree.label}: nothing to judge")
    return Judgement(tuple(lines), bool(problems))


def _versions(report: PortReport) -> str:
    made = ", ".join(report.made_with)
    return f"{report.name or report.folder}: measured with portwright {made}, and judged by portwright {__version__}"


def _sum(count: int, tree: Tree, reports: Sequence[PortReport]) -> str:
    bad = sum(1 for report in reports if report.problems)
    ports = f"; {bad} of {len(reports)} port{'s' * (len(reports) != 1)} blocked" if reports else ""
    return f"{count} problem{'s' * (count != 1)} in {tree.label}{ports}"


def shown(problem: Problem) -> str:
    """Give a problem's text for a terminal."""
    return str(problem).encode("utf-8", "backslashreplace").decode()  # a path may be any bytes


@contextmanager
def opened(folder: Path, environ: Mapping[str, str]) -> Iterator[GitTree]:
    """Open the tree that a hook is run for; raises PortError where git cannot read it."""
    root = top_folder(folder)
    commit = pushed_commit(root, environ)
    with open_commit(root, commit) if commit else open_index(root) as tree:
        yield tree
