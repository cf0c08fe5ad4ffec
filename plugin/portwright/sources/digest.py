"""Digest a file while its bytes pass by: sha256 of all, of its safetensors header, and git's blob id if wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20


@dataclass(frozen=True)
class Digests:
    """What was found in a file's bytes; lower-case hex without prefix."""

    size: int
    sha256: str
    header_sha256: str | None = None  # of the JSON header of a safetensors file, without its length field
    git_sha1: str | None = None


class Digester:
    """Takes a file's bytes in order; `git_size` asks for the id that git gives a blob of that size."""

    def __init__(self, path: str, git_size: int | None = None) -> None:
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._git = None if git_size is None else hashlib.sha1(b"blob %d\0" % git_size, usedforsecurity=False)
        self._header = hashlib.sha256() if path.endswith(".safetensors") else None
        self._prefix = b""  # the header's length field, until all 8 bytes are seen
        self._missing = 8  # header bytes still to come

    def update(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._sha256.update(chunk)
        if self._git is not None:
            self._git.update(chunk)
        if self._header is not None and self._missing:
            self._feed_header(chunk)

    def _feed_header(self, chunk: bytes) -> None:
        assert self._header is not None
        if len(self._prefix) < 8:
            part, chunk = chunk[: self._missing], chunk[self._missing :]
            self._prefix += part
            self._missing -= len(part)
            if len(self._prefix) == 8:
                self._missing = int.from_bytes(self._prefix, "little")
        if len(self._prefix) == 8:
            part = chunk[: self._missing]
            self._header.update(part)
            self._missing -= len(part)

    def result(self) -> Digests:
        whole = self._header is not None and len(self._prefix) == 8 and not self._missing
        return Digests(
            self._size,
            self._sha256.hexdigest(),
            self._header.hexdigest() if self._header is not None and whole else None,
            None if self._git is None else self._git.hexdigest(),
        )


def digest_file(file: Path, path: str, *, git: bool = False, tick: Callable[[int], None] = lambda n: None) -> Digests:
    """Digest the file that the snapshot calls `path`; raises OSError if it cannot be read."""
    with file.open("rb") as stream:
        digester = Digester(path, file.stat().st_size if git else None)
        while chunk := stream.read(CHUNK):
            digester.update(chunk)
            tick(len(chunk))
    return digester.result()
