"""Immutable values that flow between the stages; only a stage's own module knows its file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SourceRef:
    """Where a reference's files come from: `hf:org/name@revision`, `pypi:dist==version` or `file:path`."""

    scheme: str
    name: str
    revision: str  # "" when the source pins none (file:)
    text: str


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a weight file's header; `start` and `end` are byte offsets into the file's data section."""

    key: str
    dtype: str  # safetensors code of what a reader is given: "F32", "BF16", "I64", ...
    shape: tuple[int, ...]
    file: str  # path inside the snapshot
    start: int
    end: int
    packed: str = ""  # the type of the blocks that the bytes are, for a quantized tensor of a GGUF file: "Q4_1"


@dataclass(frozen=True)
class SnapshotFile:
    """One pinned file of a source; sha256 values are lower-case hex without prefix."""

    path: str
    size: int
    sha256: str
    header_sha256: str | None = None  # of the safetensors header, for files that have one
    revision: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A source at one exact revision, present on this machine under `root`."""

    source: SourceRef
    revision: str
    root: Path
    files: tuple[SnapshotFile, ...]


@dataclass(frozen=True)
class GoldenSource:
    """A second checkpoint of the same weights that the reference's own library can load, used as the oracle."""

    source: SourceRef
    path: str


@dataclass(frozen=True)
class ComponentSpec:
    """One network of the port: where its files lie in the source and which class is its reference."""

    name: str
    path: str  # folder inside the source, "" for its root
    reference: str  # "module:Class"
    kind: str  # "encoder", "decoder", "unet", "vae", ...
    golden: GoldenSource | None = None
    prompts: tuple[str, ...] = ()  # texts that the reference continues, and the port after it
    file: str = ""  # the weight file, where the folder holds several of which each is whole; "" for all
    remote_code: bool | None = None  # run the code that comes with the weights: yes, no, or nobody has said


@dataclass(frozen=True)
class QuantizeSpec:
    """How weights are quantized (`mx.quantize` modes) and how much the outputs may drift."""

    bits: int  # 0 where the source's own quantization is kept
    group_size: int
    mode: str
    budget: Mapping[str, float] = field(default_factory=dict)
    keep: tuple[str, ...] = ()  # module patterns that stay unquantized
    source: bool = False  # the source's own quantization is kept, and nothing is rounded again


@dataclass(frozen=True)
class PortSpec:
    """One `port.toml`, checked; paths are relative to `directory`."""

    directory: Path
    file: Path
    name: str
    source: SourceRef
    skill: str
    runtime: str
    dtype: str
    components: tuple[ComponentSpec, ...]
    out: str
    commit_code: bool
    max_shard_bytes: int
    quantize: QuantizeSpec | None
    gate: str  # "evidence" | "accepted"
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
