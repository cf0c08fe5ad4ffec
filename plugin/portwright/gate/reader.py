"""Read the files of one port out of a tree, and note whatever keeps one from being read."""

from __future__ import annotations

from typing import Any

from .. import canonical
from ..errors import PortError, Problem
from ..validated import check_once
from .tree import FILE, Tree

# The command that makes a port's files again; `mend.py` turns it into `git add` where that is enough.
REBUILD = "doit port"
TEXT_LIMIT = 4 << 20  # the longest model.py of a library is 0.3 MB


class Reader:
    """One port's files by their path relative to its port.toml; every problem goes to `problems`."""

    def __init__(self, tree: Tree, folder: str) -> None:
        self.tree = tree
        self.folder = folder  # "" or "examples/minilm/"
        self.problems: list[Problem] = []
        self._kinds = tree.kinds()

    def at(self, name: str) -> str:
        """Give a file's path from the repository's top."""
        return f"{self.folder}{name}"

    def report(self, name: str, problem: str, hint: str = REBUILD, place: str = "") -> None:
        """Note a problem of a file; `place` is a key path or a check inside it."""
        self.problems.append(Problem(f"{self.at(name)}: {place}" if place else self.at(name), problem, hint))

    def kind(self, name: str) -> str | None:
        """Give the kind of an entry, or of the nearest folder above it that is a link or a submodule; None: absent."""
        path = self.at(name)
        if path in self._kinds:
            return self._kinds[path]
        parents = path.split("/")[:-1]
        above = ("/".join(parents[:end]) for end in range(len(parents), 0, -1))
        return next((self._kinds[parent] for parent in above if self._kinds.get(parent, FILE) != FILE), None)

    def content(self, name: str, limit: int = TEXT_LIMIT) -> bytes | None:
        """Read a file that must be there; notes the problem and gives None where it cannot be read."""
        kind = self.kind(name)
        if kind is None:
            self.report(name, f"it is missing from {self.tree.label}")
            return None
        if kind != FILE:
            self.report(name, f"it is, or lies in, {kind}; the gate reads only files of this repository",
                        "commit the file itself")  # fmt: skip
            return None
        try:
            return self.tree.read(self.at(name), limit)
        except PortError as error:
            self.problems += error.problems
            return None

    def parsed(self, name: str, schema: str | None) -> dict[str, Any] | None:
        """Read and check a JSON file; gives None, with every problem noted, unless it is wholly right."""
        content = self.content(name, canonical.MAX_JSON_BYTES)
        return None if content is None else self.parse(name, content, schema)

    def parse(self, name: str, content: bytes, schema: str | None) -> dict[str, Any] | None:
        """Check the content of a JSON file; gives None, with every problem noted, unless it is wholly right."""
        try:
            value = canonical.parse_object(content, self.at(name))
        except PortError as error:
            markers = content.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in content
            said = "it holds the conflict markers of a merge" if markers else error.problems[0].problem
            self.report(name, said)
            return None
        problems = check_once(value, schema, self.at(name), content.decode()) if schema else []
        self.problems += [Problem(p.where, _short(p.problem), REBUILD) for p in problems]
        return None if problems else value


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
