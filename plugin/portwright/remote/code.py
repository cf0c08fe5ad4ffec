"""A private copy of a source's Python files, verified byte by byte, which alone is imported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ..errors import ExitCode, PortError, Problem

PACKAGE = "remote_code"  # what the files are modules of, so that `from .configuration import …` finds its neighbour


def inside(reference: str) -> str:
    """Name the class by its place in the package: `modeling_own:Own` is `remote_code.modeling_own:Own`."""
    return f"{PACKAGE}.{reference}"


def place(folder: Path, files: Mapping[str, str], into: Path) -> None:
    """Write the files (name to sha256) of `folder` as the package below `into`.

    Each is read once, and what was read is compared and written, so that no later change can slip in. Raises PortError
    (SOURCE) with every file whose bytes are not the pinned ones.
    """
    problems = []
    package = into / PACKAGE
    package.mkdir(parents=True)
    for name, sha256 in files.items():
        content = (folder / name).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            text = f"its bytes are not the pinned ones: pinned sha256 {sha256}, found {found}; it was not run"
            problems.append(Problem(str(folder / name), text, "bring the pinned bytes back, or run `doit fetch` again"))
        (package / name).write_bytes(content)
    if problems:
        raise PortError(problems, ExitCode.SOURCE)
    (package / "__init__.py").write_bytes(b"")  # a source's own is for its repository, not for this package
