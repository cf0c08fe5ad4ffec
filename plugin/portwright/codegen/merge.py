"""Three-way merge of generated code with the edits that a person or agent made to it."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from portwright.errors import PortError, Problem

OURS, BASE, THEIRS = "edited", "generated before", "generated now"


@dataclass(frozen=True)
class Conflict:
    """A place that both sides changed; `line` is that of its first marker in the merged text."""

    line: int
    ours: str
    theirs: str


@dataclass(frozen=True)
class Merged:
    """The merged text. With conflicts it holds both sides between git's markers, so nothing is lost."""

    text: str
    conflicts: tuple[Conflict, ...]


def merge3(base: str, ours: str, theirs: str) -> Merged:
    """Merge the edits from `base` to `ours` into `theirs`, as `git merge-file` does.

    `base` is the old generated text, `ours` what the person has, `theirs` the newly generated text.
    Raises PortError when git is missing or fails.
    """
    if ours == base:
        return Merged(theirs, ())
    if theirs in (base, ours):
        return Merged(ours, ())
    with tempfile.TemporaryDirectory(prefix="portwright-merge-") as folder:
        paths = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for path, text in zip(paths, (ours, base, theirs), strict=True):
            path.write_text(text, encoding="utf-8", newline="\n")
        labels = [part for label in (OURS, BASE, THEIRS) for part in ("-L", label)]
        command = ["git", "merge-file", "-p", *labels, *map(str, paths)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except OSError as error:
            raise PortError(Problem("git", f"cannot be run: {error}", "install git")) from error
    if done.returncode > 127:
        problem = done.stderr.decode("utf-8", "replace").strip()
        raise PortError(Problem("model.py", f"git merge-file failed: {problem}"))
    text = done.stdout.decode("utf-8")
    return Merged(text, conflicts_in(text))


def conflicts_in(text: str) -> tuple[Conflict, ...]:
    """The conflicts between markers in a merged text."""
    found: list[Conflict] = []
    sides: dict[str, list[str]] = {"ours": [], "theirs": []}
    side, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(f"<<<<<<< {OURS}"):
            side, start, sides = "ours", number, {"ours": [], "theirs": []}
        elif line.startswith("=======") and side == "ours":
            side = "theirs"
        elif line.startswith(f">>>>>>> {THEIRS}") and side:
            found.append(Conflict(start, "\n".join(sides["ours"]), "\n".join(sides["theirs"])))
            side = ""
        elif side:
            sides[side].append(line)
    return tuple(found)
