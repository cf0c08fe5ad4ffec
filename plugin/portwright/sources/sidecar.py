"""Remember what is known of a snapshot, so that an intact one is recognised without reading its weights.

One JSON file per snapshot holds the source's listing and, for every placed file, the size and modification time
at which its digests were taken. A file whose stat differs is digested again; only one that really changed is
fetched again. The sidecar is a cache: losing it costs time, never correctness.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..publish import publish_text
from .backend import Listed
from .digest import Digests

SCHEMA = 1


@dataclass(frozen=True)
class Stamp:
    """A placed file's stat at the time its digests were taken."""

    size: int
    mtime_ns: int
    sha256: str
    header_sha256: str | None
    git_sha1: str | None = None

    @property
    def digests(self) -> Digests:
        return Digests(self.size, self.sha256, self.header_sha256, self.git_sha1)


class Sidecar:
    """The memory of one snapshot; every change is on disk before the next step."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.revision = ""
        self.listing: dict[str, Listed] = {}
        self.stamps: dict[str, Stamp] = {}
        try:
            self._load(json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            self.revision, self.listing, self.stamps = "", {}, {}

    def _load(self, value: Any) -> None:
        if value["schema"] != SCHEMA:
            return
        self.revision = str(value["revision"])
        self.listing = {path: Listed(path, **entry) for path, entry in value["listing"].items()}
        self.stamps = {path: Stamp(**entry) for path, entry in value["stamps"].items()}

    def fresh(self, path: str, file: Path) -> Digests | None:
        """Give the digests of a file whose size and time are those at which they were taken."""
        stamp = self.stamps.get(path)
        try:
            status = file.stat()
        except OSError:
            return None
        if stamp is None or (status.st_size, status.st_mtime_ns) != (stamp.size, stamp.mtime_ns):
            return None
        return stamp.digests

    def set_listing(self, revision: str, listing: Mapping[str, Listed]) -> None:
        """Store the source's own list of files at a revision."""
        with self._lock:
            self.revision, self.listing = revision, dict(listing)
            self._save()

    def set_stamp(self, path: str, file: Path, digests: Digests) -> None:
        """Store a placed file's digests with its present stat."""
        status = file.stat()
        if status.st_size != digests.size:
            return  # somebody writes to it just now: let the next run look again
        stamp = Stamp(digests.size, status.st_mtime_ns, digests.sha256, digests.header_sha256, digests.git_sha1)
        with self._lock:
            self.stamps[path] = stamp
            self._save()

    def _save(self) -> None:
        value = {
            "schema": SCHEMA,
            "revision": self.revision,
            "listing": {path: _plain(entry, "path") for path, entry in sorted(self.listing.items())},
            "stamps": {path: _plain(stamp) for path, stamp in sorted(self.stamps.items())},
        }
        publish_text(self._file, json.dumps(value, indent=1))


def _plain(record: Listed | Stamp, drop: str = "") -> dict[str, Any]:
    return {key: value for key, value in asdict(record).items() if key != drop}


def is_same(digests: Digests, listed: Listed | None) -> bool:
    """Tell whether a file's digests agree with everything that its source states."""
    if listed is None:
        return True
    return (
        digests.size == listed.size
        and listed.sha256 in (None, digests.sha256)
        and (listed.git_sha1 is None or digests.git_sha1 in (None, listed.git_sha1))
    )


def inside(root: Path, path: str) -> Path:
    """Join a listed path to its root; the name has been judged, this also catches a link planted on the way."""
    joined = root / path
    if not joined.parent.resolve().is_relative_to(root.resolve()):
        hint = "remove the link that leads out, and run it again"
        raise PortError(Problem(str(joined), f"this path leads out of {root}", hint), ExitCode.SOURCE)
    return joined
