"""Read GGUF headers, trusting nothing: key-value metadata, and each tensor's name, type, shape and place.

Little-endian: the magic, a version, two counts, the metadata, the tensor list, then the tensors' bytes, each at a
multiple of the alignment. Sizes of a tensor are listed innermost first and are given here in the usual order.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..records import TensorInfo
from .types import TYPES

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER = 256 << 20  # bytes; vocabularies stand in it, tensors do not
_MAX_DIMS = 4
_MAX_BYTES = 1 << 62
_MAX_DEPTH = 2  # arrays of arrays
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_HINT = "the file is damaged or hostile: fetch it again, or ask whoever made it"


@dataclass(frozen=True)
class GgufHeader:
    """The header of one GGUF file; offsets of the tensors count from `data_start`."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, Any]
    data_start: int  # bytes from the file's beginning
    size: int  # bytes of the whole file
    sha256: str  # of the bytes before the tensors' own, lower-case hex


class Truncated(Exception):
    """The bytes given end inside the header."""


def read_header(path: Path, name: str | None = None) -> GgufHeader:
    """Read and check the header of the file at `path`; `name` is what messages and TensorInfo.file call it.

    Raises PortError with every problem of the header (exit code SOURCE).
    """
    shown = name if name is not None else str(path)
    try:
        size = path.stat().st_size
        if size == 0:
            raise _refused(shown, ["it is empty"])
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return parse_header(mapped, size, shown)
    except OSError as error:
        raise PortError(Problem(shown, f"cannot be read: {error.strerror}", ""), ExitCode.SOURCE) from None
    except Truncated:
        raise _refused(shown, ["it ends inside its header"]) from None


def parse_header(content: bytes | mmap.mmap, size: int, name: str) -> GgufHeader:
    """Check a header against the file's whole size; `content` begins with the file and may go on after the header.

    Raises PortError with every problem, and Truncated where `content` is shorter than the header.
    """
    reader = _Reader(content)
    try:
        return _parse(reader, size, name)
    except _Fault as fault:
        raise _refused(name, [str(fault)]) from None


class _Fault(ValueError):
    """What makes the rest of a header unreadable."""


class _Reader:
    """Takes little-endian values off the front of the bytes."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > MAX_HEADER:
            raise _Fault(f"its header is longer than {MAX_HEADER:,} bytes")
        if self.at + count > len(self._content):
            raise Truncated
        self.at += count
        return bytes(self._content[self.at - count : self.at])

    def number(self, kind: str) -> Any:
        (value,) = struct.unpack("<" + kind, self.take(struct.calcsize(kind)))
        return value

    def count(self, least: int, what: str) -> int:
        """A count of things that take at least `least` bytes each: more than a header can hold is refused unread."""
        value = int(self.number("Q"))
        if value * least > MAX_HEADER:
            raise _Fault(f"it claims {value:,} {what}, more than a header can hold")
        return value

    def text(self, what: str) -> str:
        raw = self.take(self.count(1, f"bytes of {what}"))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise _Fault(f"{what} is not UTF-8") from None

    def value(self, kind: int, key: str, depth: int = 0) -> Any:
        if kind in _SCALARS:
            if kind == 7:
                return self.number("B") != 0
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text(f"the value of {key!r}")
        if kind != _ARRAY:
            raise _Fault(f"the value of {key!r} has the unknown type {kind}")
        if depth == _MAX_DEPTH:
            raise _Fault(f"the value of {key!r} nests arrays deeper than {_MAX_DEPTH}")
        of = int(self.number("I"))
        width = struct.calcsize(_SCALARS[of]) if of in _SCALARS else 8
        count = self.count(width, f"elements of {key!r}")
        if of in _SCALARS and of != 7:
            return list(struct.unpack(f"<{count}{_SCALARS[of]}", self.take(count * width)))
        return [self.value(of, key, depth + 1) for _ in range(count)]


def _parse(reader: _Reader, size: int, name: str) -> GgufHeader:
    if reader.take(4) != MAGIC:
        raise _Fault("it does not begin with GGUF")
    version = int(reader.number("I"))
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        known = " and ".join(map(str, VERSIONS))
        raise _Fault("it is big-endian, and only little-endian files are read" if swapped
                     else f"its version is {version}, and {known} are known")  # fmt: skip
    tensor_count, pairs = reader.count(24, "tensors"), reader.count(13, "keys")
    faults: list[str] = []
    metadata: dict[str, Any] = {}
    for _ in range(pairs):
        key = reader.text("a key")
        if key in metadata:
            faults.append(f"the key {key!r} stands twice in its metadata")
        metadata[key] = reader.value(int(reader.number("I")), key)
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 8 <= alignment <= 1 << 20 or alignment & (alignment - 1):
        raise _Fault(f"general.alignment is {_shown(alignment)}, not a power of two from 8")
    tensors: dict[str, TensorInfo] = {}
    for _ in range(tensor_count):
        info = _tensor(reader, name, alignment, faults)
        if info is not None and info.key in tensors:
            faults.append(f"the tensor {info.key!r} stands twice in its list")
        elif info is not None:
            tensors[info.key] = info
    digest = hashlib.sha256(bytes(reader._content[: reader.at])).hexdigest()
    data_start = -(-reader.at // alignment) * alignment
    if not faults:
        faults += _cover_faults(tensors, size - data_start, alignment)
    if faults:
        raise _refused(name, faults)
    return GgufHeader(tensors, metadata, data_start, size, digest)


def _tensor(reader: _Reader, name: str, alignment: int, faults: list[str]) -> TensorInfo | None:
    """One entry of the tensor list as TensorInfo, or None after its faults were noted."""
    before = len(faults)
    key = reader.text("a tensor's name")
    dims = int(reader.number("I"))
    if dims > _MAX_DIMS:
        raise _Fault(f"tensor {_shown(key)}: {dims} dimensions, and at most {_MAX_DIMS} are known")
    inner_first = [int(reader.number("Q")) for _ in range(dims)]
    kind_number, offset = int(reader.number("I")), int(reader.number("Q"))
    if not key or not key.isprintable():
        faults.append(f"tensor {_shown(key)}: its name is empty or holds characters that cannot be printed")
    kind = TYPES.get(kind_number)
    if kind is None:
        faults.append(f"tensor {_shown(key)}: unknown type {kind_number}")
    if offset % alignment:
        faults.append(f"tensor {_shown(key)}: its offset {offset} is no multiple of {alignment}")
    shape = tuple(reversed(inner_first))
    if prod(size or 1 for size in shape) > _MAX_BYTES or offset > _MAX_BYTES:
        faults.append(f"tensor {_shown(key)}: shape {_shown(list(shape))} at {offset} overflows")
    if kind is not None and kind.packed and (not shape or shape[-1] % kind.elements):
        faults.append(f"tensor {_shown(key)}: rows of {shape[-1:]} do not divide into {kind.name}'s {kind.elements}")
    if len(faults) > before or kind is None:
        return None
    end = offset + prod(shape) // kind.elements * kind.size
    return TensorInfo(key, kind.code, shape, name, offset, end, kind.name if kind.packed else "")


def _cover_faults(tensors: Mapping[str, TensorInfo], data_bytes: int, alignment: int) -> list[str]:
    """The tensors must follow each other without overlap, and without gaps beyond the alignment's."""
    faults = []
    end, last = 0, "the beginning"
    for info in sorted(tensors.values(), key=lambda info: (info.start, info.end)):
        if info.start < end:
            faults.append(f"tensor {info.key!r} overlaps {last}: it begins at {info.start}, before {end}")
        elif info.start - end >= alignment:
            faults.append(f"{info.start - end} bytes between {last} and tensor {info.key!r} belong to no tensor")
        if info.end > data_bytes:
            faults.append(f"tensor {info.key!r}: bytes {info.start}..{info.end} lie outside the {data_bytes} of data")
        end, last = max(end, info.end), f"tensor {info.key!r}"
    if data_bytes - end >= alignment:
        faults.append(f"the last {data_bytes - end} bytes belong to no tensor")
    return faults


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "…"


def _refused(name: str, faults: list[str]) -> PortError:
    return PortError([Problem(name, fault, _HINT) for fault in faults], ExitCode.SOURCE)
