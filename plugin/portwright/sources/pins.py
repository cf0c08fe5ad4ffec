"""Hold what a source offers against what port.lock pinned, and name each difference with both digests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import ExitCode, PortError, Problem
from ..records import SnapshotFile, SourceRef
from .backend import Listed
from .patterns import select

_HINT = (
    "bring the pinned bytes back; or, if the change is meant, delete port.lock and run `doit port`, "
    "which pins the new bytes and runs every check on them"
)


def refuse_early(
    ref: SourceRef, offered: Iterable[Listed], pinned: Mapping[str, SnapshotFile], wanted: tuple[str, ...]
) -> None:
    """Refuse, before any byte is moved, a source whose own listing already contradicts the pins."""
    listing = {entry.path: entry for entry in offered}
    problems = [_gone(ref, path) for path in select(pinned, wanted) if path not in listing]
    for path, entry in listing.items():
        pin = pinned.get(path)
        if pin is None:
            continue
        if entry.sha256 is not None and entry.sha256 != pin.sha256:
            problems.append(_differs(ref, pin, entry.sha256, entry.size))
        elif entry.size != pin.size:
            problems.append(_differs(ref, pin, "", entry.size))
    if problems:
        raise PortError(problems, ExitCode.SOURCE)


def compare(ref: SourceRef, files: Iterable[SnapshotFile], pinned: Mapping[str, SnapshotFile]) -> None:
    """Raise PortError for every file whose bytes are not the pinned ones."""
    problems = []
    for file in files:
        pin = pinned.get(file.path)
        if pin is None or (pin.sha256, pin.size) == (file.sha256, file.size):
            continue
        problems.append(_differs(ref, pin, file.sha256, file.size))
    if problems:
        raise PortError(problems, ExitCode.SOURCE)


def _gone(ref: SourceRef, path: str) -> Problem:
    return Problem(f"{ref.text}: {path}", "port.lock pins this file, and the source no longer has it", _HINT)


def _differs(ref: SourceRef, pin: SnapshotFile, sha256: str, size: int) -> Problem:
    found = f"sha256 {sha256} ({size:,} bytes)" if sha256 else f"{size:,} bytes"
    text = f"its bytes are not the pinned ones: pinned sha256 {pin.sha256} ({pin.size:,} bytes), found {found}"
    return Problem(f"{ref.text}: {pin.path}", text, _HINT)
