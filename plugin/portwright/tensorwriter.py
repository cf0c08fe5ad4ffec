"""Write a safetensors file as a stream: the header first, then every tensor in order, hashed on the way.

The file appears under its name only when it is whole: it is written under a temporary name in the same folder,
synced, and renamed. What a killed process leaves has a name that `remove_leftovers` knows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from .dtypes import DTYPES
from .errors import PortError, Problem

BUFFER = 1 << 20  # bytes; it stays in the cache between reading, hashing and writing
_AHEAD = 8  # buffers that may wait for the hashes
_ALIGN = 8  # the data section begins at a multiple of this, as the safetensors library writes it


@dataclass(frozen=True)
class Entry:
    """One tensor to be written; `dtype` is a safetensors code."""

    key: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return prod(self.shape) * DTYPES[self.dtype].bits // 8


@dataclass(frozen=True)
class Written:
    """What a finished file is: its size in bytes and its hashes, lower-case hex."""

    size: int
    sha256: str
    blake3: str


def header_bytes(entries: Sequence[Entry], metadata: Mapping[str, str]) -> bytes:
    """The length and JSON header of a file that holds `entries` in this order, padded with spaces."""
    body: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    begin = 0
    for entry in entries:
        end = begin + entry.size
        body[entry.key] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGN)
    return len(text).to_bytes(8, "little") + text


def temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; there is one writer at a time."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            path.unlink()


class TensorWriter:
    """Writes one file: give every tensor's bytes in order, `finish`, then `publish`; or leave it and it is removed.

    `hashes` names those to take, of "sha256" and "blake3"; others stay empty. Raises PortError when the disk is full.
    """

    def __init__(
        self,
        path: Path,
        entries: Sequence[Entry],
        metadata: Mapping[str, str],
        hashes: Sequence[str] = ("sha256", "blake3"),
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        header = header_bytes(entries, metadata)
        self.path = path
        self.size = len(header) + sum(entry.size for entry in entries)
        self.written: Written | None = None
        self._on_bytes = on_bytes
        self._temporary = temporary_name(path)
        self._hashes = {name: _new_hash(name) for name in hashes}
        self._threads = {name: ThreadPoolExecutor(1, f"hash-{name}") for name in hashes}
        self._pending: list[list[Future[Any]]] = []
        self._ring: list[bytearray] = []
        self._turn = 0
        self._count = 0
        self._waiting = (-1, 0, 0)  # a run that is not copied yet: descriptor, start, stop
        try:
            self._stream = self._temporary.open("wb", buffering=0)
            self._put(memoryview(header))
        except OSError as error:
            self.close()
            raise _explained(error, self.path, self.size) from None

    def __enter__(self) -> TensorWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, content: Any) -> None:
        """Append bytes; `content` has the buffer protocol and must not change until the file is finished."""
        self._copy_waiting()
        view = memoryview(content).cast("B")
        for begin in range(0, len(view), BUFFER):
            self._put_checked(view[begin : begin + BUFFER])

    def copy(self, descriptor: int, start: int, stop: int) -> None:
        """Append bytes start..stop of another open file; neighbouring runs are copied as one."""
        waiting, begin, end = self._waiting
        if (waiting, end) == (descriptor, start):
            self._waiting = (descriptor, begin, stop)
        else:
            self._copy_waiting()
            self._waiting = (descriptor, start, stop)

    def _copy_waiting(self) -> None:
        descriptor, start, stop = self._waiting
        self._waiting = (-1, 0, 0)
        while start < stop:
            buffer = memoryview(self._free_buffer())[: min(BUFFER, stop - start)]
            os.lseek(descriptor, start, os.SEEK_SET)
            count = os.readv(descriptor, [buffer])
            if count == 0:
                raise _shortened(self.path)
            self._put_checked(buffer[:count])
            start += count

    def finish(self) -> Written:
        """Check that every byte came, sync to disk, and give size and hashes."""
        self._copy_waiting()
        if self._count != self.size:
            raise PortError(Problem(str(self.path), f"{self._count} bytes were written, the header says {self.size}"))
        try:
            os.fsync(self._stream.fileno())  # the hashes go on meanwhile
        except OSError as error:
            raise _explained(error, self.path, self.size) from None
        for futures in self._pending:
            _wait(futures)
        digests = {name: hash.hexdigest() for name, hash in self._hashes.items()}
        self.written = Written(self.size, digests.get("sha256", ""), digests.get("blake3", ""))
        self._pending.clear()
        self._ring.clear()  # a finished file may wait long for its name
        return self.written

    def publish(self) -> None:
        """Give the finished file its name."""
        assert self.written is not None, "finish() comes first"
        self._temporary.replace(self.path)
        sync_folder(self.path.parent)

    def close(self) -> None:
        """Stop the threads and remove the temporary file where it was not published."""
        for thread in self._threads.values():
            thread.shutdown(wait=True, cancel_futures=True)
        if hasattr(self, "_stream"):
            self._stream.close()
            with suppress(OSError):
                self._temporary.unlink()

    def _free_buffer(self) -> bytearray:
        """The next buffer of the ring, once the hashes have let go of it."""
        if len(self._pending) >= _AHEAD:
            _wait(self._pending.pop(0))
        self._turn = (self._turn + 1) % (_AHEAD if self._hashes else 1)
        while len(self._ring) <= self._turn:
            self._ring.append(bytearray(BUFFER))
        return self._ring[self._turn]

    def _put_checked(self, view: memoryview) -> None:
        try:
            self._put(view)
        except OSError as error:
            raise _explained(error, self.path, self.size) from None

    def _put(self, view: memoryview) -> None:
        if len(self._pending) >= _AHEAD:
            _wait(self._pending.pop(0))
        self._pending.append([self._threads[name].submit(hash.update, view) for name, hash in self._hashes.items()])
        done = 0
        while done < len(view):
            done += self._stream.write(view[done:]) or 0
        self._count += len(view)
        if self._on_bytes is not None:
            self._on_bytes(len(view))


def _new_hash(name: str) -> Any:
    if name == "blake3":
        from blake3 import blake3

        return blake3()
    return hashlib.new(name)


def _wait(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.result()


def _shortened(path: Path) -> PortError:
    return PortError(Problem(str(path), "a source file became shorter while it was read", "fetch it again"))


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable; a file system that cannot is left alone."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, path: Path, size: int) -> PortError:
    """A full disk and a file-size limit, in words."""
    hint = f"{path.name} needs {size:,} bytes in {path.parent}: free some space and run it again; nothing was lost"
    return PortError(Problem(str(path), f"cannot be written: {error.strerror}", hint))
