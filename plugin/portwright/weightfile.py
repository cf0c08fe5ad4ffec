"""Open a weight file by its kind: safetensors, or GGUF. Nothing else is read, and nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from . import tensorfile
from .gguf import header as gguf_header
from .records import TensorInfo
from .tensorfile import TensorFile

GGUF = ".gguf"
SUFFIXES = (".safetensors", GGUF)


def read_tensors(path: Path, name: str | None = None) -> Mapping[str, TensorInfo]:
    """Read and check a weight file's header; raises PortError with every problem of it (exit code SOURCE)."""
    if path.suffix == GGUF:
        return gguf_header.read_header(path, name).tensors
    return tensorfile.read_header(path, name).tensors


def open_file(path: Path, name: str | None = None) -> TensorFile:
    """Open a weight file for its tensors' bytes; raises PortError as `read_tensors` does."""
    if path.suffix != GGUF:
        return TensorFile(path, name)
    found = gguf_header.read_header(path, name)
    return TensorFile(path, name, tensorfile.Header(found.tensors, {}, found.data_start, found.size, found.sha256))
