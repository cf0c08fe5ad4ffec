"""Read safetensors headers, trusting nothing, and open their tensors without copying them.

A safetensors file is an 8-byte little-endian length, that many bytes of JSON, then the tensors' bytes without gaps.
Everything the safetensors library refuses is refused here, and duplicate JSON keys too, which it lets pass; all
problems of a file are found at once, before anything is written.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dtypes import DTYPES
from .errors import ExitCode, PortError, Problem
from .records import TensorInfo

MAX_HEADER = 100_000_000  # bytes; the library's own limit
_MAX_BYTES = 1 << 62  # no tensor is larger: products of hostile shapes stay comparable
_HINT = "the file is damaged or hostile: fetch it again, or ask whoever made it"


@dataclass(frozen=True)
class Header:
    """The header of one safetensors file; offsets of the tensors count from `data_start`."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data_start: int  # bytes from the file's beginning
    size: int  # bytes of the whole file
    sha256: str  # of the header's JSON bytes, lower-case hex


def read_header(path: Path, name: str | None = None) -> Header:
    """Read and check the header of the file at `path`; `name` is what messages and TensorInfo.file call it.

    Raises PortError with every problem of the header (exit code SOURCE).
    """
    shown = name if name is not None else str(path)
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            length = header_length(stream.read(8), size, shown)
            content = stream.read(length)
    except OSError as error:
        raise PortError(Problem(shown, f"cannot be read: {error.strerror}", ""), ExitCode.SOURCE) from None
    return parse_header(content, size, shown)


def header_length(first: bytes, size: int, name: str) -> int:
    """The length in bytes of the JSON header, from the file's first 8 bytes and its whole size; raises PortError."""
    if len(first) < 8 or size < 8:
        raise _refused(name, [f"it is {size} bytes long, too short for a safetensors header"])
    length = int.from_bytes(first[:8], "little")
    if length > MAX_HEADER:
        raise _refused(name, [f"its header claims {length:,} bytes, and at most {MAX_HEADER:,} are allowed"])
    if 8 + length > size:
        raise _refused(name, [f"its header claims {length:,} bytes, but the file ends after {size:,}"])
    return length


def parse_header(content: bytes, size: int, name: str) -> Header:
    """Check a header's JSON bytes against the file's whole size in bytes; raises PortError with every problem."""
    try:
        if not content.startswith(b"{"):
            raise ValueError("it does not begin with {")
        parsed = json.loads(content.decode("utf-8"), object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _refused(name, [f"its header is not JSON: {error}"]) from None
    if not isinstance(parsed, _Pairs):
        raise _refused(name, ["its header is not a JSON object"])
    data_start = 8 + len(content)
    data_bytes = size - data_start
    faults: list[str] = []
    counts = Counter(key for key, _ in parsed.pairs)
    faults += [f"the key {key!r} stands {n} times in its header" for key, n in counts.items() if n > 1]
    metadata: dict[str, str] = {}
    tensors: dict[str, TensorInfo] = {}
    for key, value in parsed.pairs:
        if key == "__metadata__":
            metadata = _metadata(value, faults)
            continue
        info = _tensor(key, value, name, data_bytes, faults)
        if info is not None:
            tensors[key] = info
    if not faults:
        _check_cover(tensors, data_bytes, faults)
    if faults:
        raise _refused(name, faults)
    return Header(tensors, metadata, data_start, size, hashlib.sha256(content).hexdigest())


class _Pairs:
    """A JSON object with its keys as written, duplicates included."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _metadata(value: Any, faults: list[str]) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, _Pairs):
        faults.append("its __metadata__ is not an object")
        return {}
    repeated = [key for key, n in Counter(key for key, _ in value.pairs).items() if n > 1]
    faults += [f"the key {key!r} stands twice in its __metadata__" for key in repeated]
    faults += [f"__metadata__[{key!r}] is not a string" for key, text in value.pairs if not isinstance(text, str)]
    return dict(value.pairs)


def _tensor(key: str, value: Any, name: str, data_bytes: int, faults: list[str]) -> TensorInfo | None:
    """One entry of the header as TensorInfo, or None after its faults were noted."""
    before = len(faults)
    if not key.isprintable():
        faults.append(f"tensor {key!r}: its name holds characters that cannot be printed")
    if not isinstance(value, _Pairs):
        faults.append(f"tensor {key!r}: its entry is not an object")
        return None
    entry = dict(value.pairs)
    if len(entry) != len(value.pairs):
        faults.append(f"tensor {key!r}: a key stands twice in its entry")
    missing = [field for field in ("dtype", "shape", "data_offsets") if field not in entry]
    if missing:
        faults.append(f"tensor {key!r}: {' and '.join(missing)} missing")
        return None
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        faults.append(f"tensor {key!r}: unknown dtype {_shown(entry['dtype'])}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _naturals(shape):
        faults.append(f"tensor {key!r}: shape {_shown(shape)} is not a list of sizes")
    if not _naturals(offsets) or len(offsets) != 2:
        faults.append(f"tensor {key!r}: data_offsets {_shown(offsets)} is not [begin, end]")
    if len(faults) > before or dtype is None:
        return None
    start, end = offsets
    if start > end or end > data_bytes:
        faults.append(f"tensor {key!r}: bytes {start}..{end} lie outside the file's {data_bytes} bytes of data")
    bits = dtype.bits
    for size in shape:
        bits *= size
        if bits > 8 * _MAX_BYTES:
            faults.append(f"tensor {key!r}: shape {_shown(shape)} overflows")
            return None
    if bits % 8:
        faults.append(f"tensor {key!r}: {dtype.code} {_shown(shape)} does not end at a whole byte")
    elif end - start != bits // 8:
        faults.append(
            f"tensor {key!r}: {dtype.code} {_shown(shape)} takes {bits // 8} bytes, its offsets give {end - start}"
        )
    return None if len(faults) > before else TensorInfo(key, dtype.code, tuple(shape), name, start, end)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < _MAX_BYTES for item in value)


def _check_cover(tensors: Mapping[str, TensorInfo], data_bytes: int, faults: list[str]) -> None:
    """The tensors must follow each other without gap or overlap, up to the file's end."""
    end, last = 0, "the beginning"
    for info in sorted(tensors.values(), key=lambda info: (info.start, info.end)):
        if info.start < end:
            faults.append(f"tensor {info.key!r} overlaps {last}: it begins at {info.start}, before {end}")
        elif info.start > end:
            faults.append(f"{info.start - end} bytes between {last} and tensor {info.key!r} belong to no tensor")
        end, last = max(end, info.end), f"tensor {info.key!r}"
    if end < data_bytes:
        faults.append(f"the last {data_bytes - end} bytes belong to no tensor")


def _shown(value: Any) -> str:
    text = "an object" if isinstance(value, _Pairs) else repr(value)
    return text if len(text) < 60 else text[:57] + "…"


def _refused(name: str, faults: list[str]) -> PortError:
    return PortError([Problem(name, fault, _HINT) for fault in faults], ExitCode.SOURCE)


class TensorFile:
    """A checked, memory-mapped weight file; use it as a context manager. Without a `header` it is safetensors."""

    def __init__(self, path: Path, name: str | None = None, header: Header | None = None) -> None:
        self.header = header if header is not None else read_header(path, name)
        self.path = path
        self._stream = path.open("rb")
        self.mapped = mmap.mmap(self._stream.fileno(), 0, access=mmap.ACCESS_READ)

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the mapping itself lives as long as any view of it does."""
        self._stream.close()

    def fileno(self) -> int:
        return self._stream.fileno()

    def span(self, key: str) -> tuple[int, int]:
        """The begin and end of a tensor's bytes, counted from the file's beginning."""
        info = self.header.tensors[key]
        return self.header.data_start + info.start, self.header.data_start + info.end

    def bytes(self, key: str) -> memoryview:
        """The tensor's bytes, not copied."""
        start, end = self.span(key)
        return memoryview(self.mapped)[start:end]

    def release(self) -> None:
        """Give back the memory of the pages that were read through the mapping; they are read again when needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)
