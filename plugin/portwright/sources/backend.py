"""What every kind of source must offer: a listing at one revision, bytes by range, and a file put in its place.

A backend is a module that satisfies `Backend`; the registry in `sources/__init__.py` names them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..records import SnapshotFile, SourceRef, TensorInfo
from .digest import Digests

Tick = Callable[[int], None]  # bytes moved since the last call; negative when a transfer starts over
Say = Callable[[int, int, str], None]  # bytes done, bytes in all, what: for work that is not a file of the snapshot


@dataclass(frozen=True)
class Listed:
    """One file that a source offers, with whatever digest the source itself states for it."""

    path: str  # POSIX, relative, inside the source
    size: int
    sha256: str | None = None
    git_sha1: str | None = None  # of the git blob, for the Hub's small files


@dataclass(frozen=True)
class Site:
    """Where on this machine a source is looked for and kept."""

    cache: Path
    base: Path  # what relative `file:` paths start from
    pinned: Mapping[str, SnapshotFile] = field(default_factory=dict)
    say: Say = lambda done, total, what: None


@dataclass(frozen=True)
class Peek:
    """What can be known of a source without its weights."""

    source: SourceRef
    revision: str  # "" for file: sources, whose revision is a digest of their bytes
    files: tuple[tuple[str, int], ...]  # (path, size in bytes), sorted
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)  # configs, shard indexes, licences, model cards
    headers: Mapping[str, Mapping[str, TensorInfo]] = field(default_factory=dict, repr=False)
    architectures: Mapping[str, str] = field(default_factory=dict)  # of GGUF files, by path


class OpenSource(Protocol):
    """A source at one revision."""

    @property
    def revision(self) -> str:
        """The exact revision; "" where only the bytes of the wanted files can tell."""

    @property
    def record(self) -> Path:
        """The sidecar file that remembers what is known of this source at this revision."""

    @property
    def root(self) -> Path:
        """The folder under which the files are, or will be, found."""

    @property
    def listing(self) -> Mapping[str, Listed]:
        """Every file of the source by its path."""

    def read(self, path: str, start: int, length: int) -> bytes:
        """Give up to `length` bytes from `start` without placing the file; raises PortError."""

    def place(self, path: str, tick: Tick) -> Digests:
        """Make the file whole at `root/path` in one step, digest it; raises PortError if it is not the one listed."""


class Backend(Protocol):
    """One scheme of source."""

    def parse(self, rest: str, text: str) -> SourceRef:
        """Read what follows the scheme; raises PortError with every problem."""

    def home(self, ref: SourceRef, site: Site) -> Path:
        """Name the folder of the cache that is this source's own; one process at a time works in it."""

    def open(self, ref: SourceRef, site: Site) -> AbstractContextManager[OpenSource]:
        """Open the source at its exact revision; raises PortError."""
