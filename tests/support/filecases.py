"""Files as test cases: what portwright says about each file below tests/files, and how that is kept.

A case is one file in `positive/<kind>/` or `negative/<kind>/`; beside a negative one stands `<file>.expected`, the
exact lines that a user would read. `python -m tests.files.update` writes them anew after a message was changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from portwright import canonical
from portwright.errors import PortError, Problem
from portwright.gate.reader import Reader
from portwright.gate.tree import FILE
from portwright.lock import parse_lock
from portwright.rules.load import parse_rules
from portwright.rules.portmap import parse_portmap
from portwright.skill import load_skill
from portwright.spec import load_port

ROOT = Path(__file__).parents[1] / "files"
SKILL = "fixture"  # the name that every Skill case has: a file does not know its folder's name


def _port(file: Path) -> None:
    shutil.copy(file, "port.toml")
    load_port(Path("port.toml"))


def _skill(file: Path) -> None:
    folder = Path("skills", SKILL)
    folder.mkdir(parents=True)
    shutil.copy(file, folder / "skill.toml")
    load_skill(SKILL, Path.cwd()).slices()


def _rules(file: Path) -> None:
    parse_rules(file.read_bytes(), "rules.toml")


def _lock(file: Path) -> None:
    parse_lock(file.read_bytes(), "port.lock")


class _OneFile:
    """A tree of one file, for the gate's reader."""

    label = "the index"

    def __init__(self, name: str, content: bytes) -> None:
        self._name, self._content = name, content

    def kinds(self) -> dict[str, str]:
        return {self._name: FILE}

    def read(self, path: str, limit: int) -> bytes:
        return self._content

    def sha256(self, path: str) -> str:
        return canonical.sha256_bytes(self._content)


def _committed(name: str, schema: str, then: Callable[[dict, str], object] | None = None) -> Callable[[Path], None]:
    def read(file: Path) -> None:
        reader = Reader(_OneFile(name, file.read_bytes()), "")
        body = reader.parsed(name, schema)
        if reader.problems:
            raise PortError(reader.problems)
        if then is not None and body is not None:
            then(body, name)

    return read


KINDS: dict[str, Callable[[Path], None]] = {
    "port": _port,
    "skill": _skill,
    "rules": _rules,
    "lock": _lock,
    "portmap": _committed("ported/portmap.json", "portmap", parse_portmap),
    "manifest": _committed("port.manifest.json", "manifest"),
    "evidence": _committed("port.evidence.json", "evidence"),
}


def cases(sign: str) -> list[Path]:
    """Return the case files of `positive` or `negative`, sorted; a file of no known kind is a case too, and fails."""
    return sorted(p for p in (ROOT / sign).rglob("*") if p.is_file() and p.suffix != ".expected")


def expected_file(case: Path) -> Path:
    return case.with_name(case.name + ".expected")


def said(case: Path) -> str:
    """Return what a user reads about a file: its problems in order, or an empty text where it is right."""
    kind = case.relative_to(ROOT).parts[1]
    with _elsewhere() as folder:
        try:
            KINDS[kind](case)
        except PortError as error:
            lines = "\n".join(_rendered(problem, folder) for problem in error.problems)
            return lines + "\n"
    return ""


def _rendered(problem: Problem, folder: Path) -> str:
    return str(problem).replace(f"{folder}{os.sep}", "")


@contextlib.contextmanager
def _elsewhere() -> Iterator[Path]:
    """Stand in an empty repository with an empty cache."""
    before, cache = Path.cwd(), os.environ.get("PORTWRIGHT_CACHE")
    with tempfile.TemporaryDirectory(prefix="filecase-") as name:
        folder = Path(name).resolve()
        (folder / ".git").mkdir()
        os.chdir(folder)
        os.environ["PORTWRIGHT_CACHE"] = str(folder / ".cache")
        try:
            yield folder
        finally:
            os.chdir(before)
            if cache is None:
                del os.environ["PORTWRIGHT_CACHE"]
            else:
                os.environ["PORTWRIGHT_CACHE"] = cache


def update() -> list[Path]:
    """Write every .expected that differs from what is said now; returns those written."""
    written = []
    for case in cases("negative"):
        text, target = said(case), expected_file(case)
        if text and (not target.is_file() or target.read_text(encoding="utf-8") != text):
            target.write_text(text, encoding="utf-8")
            written.append(target)
    return written
