"""The doit tasks of every port below the current folder: `from portwright.tasks import *` is a whole dodo.py.

Loading this module reads the port.toml files and their Skills and nothing else; neither torch, mlx, numpy nor
jsonschema is imported (the last one only when a file changed).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from doit.exceptions import InvalidDodoFile, TaskFailed

from .errors import PortError, Problem
from .reporter import PortReporter, current
from .stages.stage import Stage

GROUPS = {
    "fetch": "bring the pinned files of every source to this machine",
    "codegen": "write the MLX source of every component",
    "bind": "bind the Skill's rules to the checkpoint's headers, and prove them",
    "remap": "write the MLX weights",
    "capture": "run the PyTorch reference once and keep its answers",
    "verify": "compare the port with the reference",
    "port": "everything, then manifest, evidence and summary",
}
_SKIP = {"node_modules", "__pycache__", "site-packages", "build", "dist"}

DOIT_CONFIG = {
    "default_tasks": ["port"],
    "reporter": PortReporter,
    "verbosity": 2,
    "backend": "json",
    "dep_file": str(Path(".portwright") / "doit.db"),
    "par_type": "thread",
    "sort": "definition",  # `doit list --all` reads like the diagram
}


class StageFailed(TaskFailed):  # type: ignore[misc]  # doit ships no types
    """A failed task that carries its problems to the reporter."""

    def __init__(self, error: PortError) -> None:
        here = f"{Path.cwd()}/"
        self.problems = tuple(replace(p, where=p.where.removeprefix(here)) for p in error.problems)
        super().__init__("\n".join(map(str, self.problems)))


def find_ports(root: Path, patterns: Iterable[str] | None = None) -> list[Path]:
    """Return every port.toml below `root` (or matching the glob patterns), sorted; hidden folders, virtual
    environments and build folders are not entered."""
    if patterns is not None:
        return sorted({path for pattern in patterns for path in root.glob(pattern)})
    found = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if _entered(Path(folder, n)))
        if "port.toml" in files:
            found.append(Path(folder, "port.toml"))
    return sorted(found)


def _entered(folder: Path) -> bool:
    return not (folder.name[0] == "." or folder.name in _SKIP or (folder / "pyvenv.cfg").exists())


def ports(*patterns: str, root: Path | None = None) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
    """Return the task creators of the ports that match the glob patterns (all below `root` without any):
    `globals().update(ports("examples/*/port.toml"))` in a dodo.py."""
    stages = _load(root or Path(), patterns or None)

    def create() -> Iterator[dict[str, Any]]:
        for group, doc in GROUPS.items():
            yield {"basename": group, "name": None, "doc": doc, "params": _PARAMS if group == "port" else []}
            for stage in stages:
                if _group(stage) == group:
                    yield {"basename": group, **_task(stage)}

    return {_CREATOR: create}


def placed(problem: Problem, file: Path) -> Problem:
    """Name the place of a problem of a port.toml or its Skill by its path from the current folder."""
    where, folder = problem.where, file.parent.as_posix()
    if where.startswith(file.name) and folder != ".":
        where = f"{folder}/{where}"
    return replace(problem, where=where.removeprefix(f"{Path.cwd()}/"))


_PARAMS = [{"name": "json", "long": "json", "type": bool, "default": False, "help": "write JSON lines instead of text"}]


def _load(root: Path, patterns: Iterable[str] | None) -> list[Stage]:
    from .stages.graph import build_stages

    sys.excepthook = _quiet_interrupt
    problems, stages, names = [], [], dict[str, Path]()
    files = find_ports(root, patterns)
    if not files:
        raise InvalidDodoFile("there is no port.toml here: `portwright init <source>` drafts one")
    for file in files:
        try:
            made = build_stages(file)
        except PortError as error:
            problems += [str(placed(problem, file)) for problem in error.problems]
            continue
        name = made[-1].name
        if name in names:
            problems.append(f"{file}: the name of {names[name]} again\n    fix: give each port a name of its own")
        names[name] = file
        stages += made
    if problems:
        count = len(problems)
        raise InvalidDodoFile(f"{count} problem{'s' if count > 1 else ''}\n" + "\n".join(problems))
    (root / ".portwright").mkdir(exist_ok=True)
    _drop_torn_state(root / ".portwright" / "doit.db")
    return stages


def _drop_torn_state(file: Path) -> None:
    """Remove doit's state file where a killed run left half of it: doit would end with a traceback, and our tasks
    rest on receipts anyway."""
    import json

    try:
        torn = not isinstance(json.loads(file.read_bytes()), dict)
    except FileNotFoundError:
        return
    except (ValueError, RecursionError):
        torn = True
    if torn:
        file.unlink(missing_ok=True)


def _group(stage: Stage) -> str:
    return stage.name.partition(":")[0]


def _task(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name.partition(":")[2],
        "doc": stage.doc,
        "actions": [(_run, [stage])],
        "uptodate": [(_fresh, [stage])],
        "task_dep": list(stage.needs),
        "verbosity": 2,
    }


def _fresh(stage: Stage) -> bool:
    try:
        return not stage.stale()
    except OSError:
        return False


def _run(stage: Stage) -> StageFailed | None:
    from .writer import one_writer

    reporter = current()

    def on_event(event: dict[str, Any]) -> None:
        if reporter:
            reporter.on_event(stage.name, event)

    try:
        with one_writer(stage.base, lambda text: on_event({"event": "log", "text": text})) as waited:
            if waited and not stage.stale():
                return None  # the other process made it
            if reporter:
                reporter.start(stage.name)
            stage.execute(on_event)
    except PortError as error:
        return StageFailed(error)
    except OSError as error:
        full = error.errno in (27, 28, 122)
        hint = "free some space and run `doit port` again: what is finished is kept" if full else ""
        return StageFailed(PortError(Problem(str(error.filename or stage.name), str(error.strerror or error), hint)))
    return None


def _quiet_interrupt(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End Ctrl-C with one line: what is finished is kept, the rest runs the next time."""
    if issubclass(kind, KeyboardInterrupt):
        print("\ninterrupted: what is finished is kept; `doit port` goes on from there", file=sys.stderr)
        return
    sys.__excepthook__(kind, error, trace)


_CREATOR = "task_portwright"  # one creator for all groups: doit keeps the order in which it yields them
__all__ = ["DOIT_CONFIG", "ports", "task_portwright"]  # noqa: F822  # made below, when a dodo.py asks for it


def __getattr__(name: str) -> Any:
    """Make the tasks of all ports below the current folder when a dodo.py asks for them."""
    if name == _CREATOR:
        return ports()[_CREATOR]
    raise AttributeError(name)
