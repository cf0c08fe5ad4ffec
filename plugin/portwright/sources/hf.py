"""`hf:org/name@revision`: a model on the Hugging Face Hub, at one commit.

A branch or tag is resolved to its commit once; port.lock then pins that commit. When every wanted file is in the
cache and the commit is known, no connection is made. The files stay in the client's own cache (HF_HOME).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExitCode, PortError, Problem
from ..records import SnapshotFile, SourceRef
from .atomic import replacing
from .backend import Listed, Site, Tick
from .digest import Digests
from .sidecar import Sidecar

if TYPE_CHECKING:
    from .hub_client import Hub

_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_EXAMPLE = "write `hf:org/name@main`"


def parse(rest: str, text: str) -> SourceRef:
    """Read `org/name@revision` of `hf:org/name@revision`."""
    name, at, revision = (part.strip() for part in rest.partition("@"))
    problems = []
    parts = name.split("/")
    if len(parts) > 2 or not all(_PART.fullmatch(part) and ".." not in part and "--" not in part for part in parts):
        hint = f"{_EXAMPLE}; a file inside the model is chosen by the component's path, not here"
        problems.append(Problem(text, f"{name!r} is not the name of a model on the Hub", hint))
    if not at or not revision:
        hint = f"{_EXAMPLE}, or a tag, or a commit: port.lock then pins the commit"
        problems.append(Problem(text, "it does not say which revision", hint))
    elif not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision or revision.endswith("/"):
        problems.append(Problem(text, f"{revision!r} is not a branch, tag or commit", _EXAMPLE))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return SourceRef("hf", name, revision, text)


def home(ref: SourceRef, site: Site) -> Path:
    """Name the folder of a model: a sidecar for each commit, and what each branch or tag was when last seen."""
    return site.cache / "snapshots" / "hf" / ref.name.replace("/", "--")


@contextmanager
def open(ref: SourceRef, site: Site) -> Iterator[_Commit]:
    """Find the commit and its files, from what is known here if that is enough, else from the Hub."""
    from .hub_client import Hub
    from .hub_errors import HubUnreachable

    hub, folder = Hub(ref), home(ref, site)
    commit = _known_commit(ref, site.pinned)
    if commit is None:
        seen = Sidecar(folder / "branches" / f"{ref.revision.replace('/', '--')}.json")
        try:
            commit = hub.resolve(ref.revision)
            seen.set_listing(commit, {})
        except HubUnreachable:
            if not seen.revision:
                raise
            commit = seen.revision  # offline: what the branch was when it was last seen
    side = Sidecar(folder / f"{commit}.json")
    if not side.listing:
        try:
            side.set_listing(commit, hub.listing(commit))
        except HubUnreachable:
            if not site.pinned:
                raise
            pins = {pin.path: Listed(pin.path, pin.size, sha256=pin.sha256) for pin in site.pinned.values()}
            yield _Commit(hub, commit, pins, folder)
            return
    yield _Commit(hub, commit, side.listing, folder)


class _Commit:
    """A model's files at one commit."""

    def __init__(self, hub: Hub, commit: str, listing: Mapping[str, Listed], folder: Path) -> None:
        self._hub = hub
        self._looks = folder / "looks"  # the ranges that were read of files which were not fetched
        self.record = folder / f"{commit}.json"
        self.revision: str = commit
        self.root: Path = hub.root(commit)
        self.listing: Mapping[str, Listed] = listing

    def read(self, path: str, start: int, length: int) -> bytes:
        cached = self.root / path
        if cached.is_file() and cached.stat().st_size == self.listing[path].size:
            with cached.open("rb") as stream:
                stream.seek(start)
                return stream.read(length)
        key = hashlib.sha256(f"{self.revision}\0{path}\0{start}\0{length}".encode()).hexdigest()
        look = self._looks / key[:32]
        if look.is_file():  # a commit's bytes never change
            return look.read_bytes()
        content = self._hub.read(self.revision, path, start, length)
        with replacing(look, self._looks) as stream:
            stream.write(content)
        return content

    def place(self, path: str, tick: Tick) -> Digests:
        return self._hub.download(self.revision, self.listing[path], tick)


def _known_commit(ref: SourceRef, pinned: Mapping[str, SnapshotFile]) -> str | None:
    if _COMMIT.fullmatch(ref.revision):
        return ref.revision
    commits = {pin.revision for pin in pinned.values() if _COMMIT.fullmatch(pin.revision)}
    return commits.pop() if len(commits) == 1 else None
