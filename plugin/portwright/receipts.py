"""What a task read, what it wrote, and whether that still stands.

A receipt holds the digest of every input, taken before the action, and the size, time and blake3 of every output,
written after the outputs are in place. Checking one costs a `stat` per output; only where a `stat` differs are bytes
read. (Stock doit trusts times, hashes after the action and saves at exit, so it calls half-written outputs done.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .paths import PREFIXES
from .publish import publish_text

SCHEMA = 1


@dataclass(frozen=True)
class Output:
    """One written file as it was when its task ended."""

    size: int
    mtime_ns: int
    blake3: str


@dataclass(frozen=True)
class Receipt:
    """The record of one finished task; `result` is what later stages read of it."""

    task: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, Output]
    result: Mapping[str, Any]


def read(path: Path) -> Receipt | None:
    """Return the receipt, or None where there is none that can be read: then the task runs again."""
    try:
        data = json.loads(path.read_bytes())
        if data["schema"] != SCHEMA:
            return None
        outputs = {name: Output(*entry) for name, entry in data["outputs"].items()}
        return Receipt(data["task"], dict(data["inputs"]), outputs, dict(data["result"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write(path: Path, receipt: Receipt) -> None:
    """Publish a receipt by rename; what it vouches for must be on disk before."""
    outputs = {name: [o.size, o.mtime_ns, o.blake3] for name, o in receipt.outputs.items()}
    body = {
        "schema": SCHEMA,
        "task": receipt.task,
        "inputs": receipt.inputs,
        "outputs": outputs,
        "result": receipt.result,
    }
    publish_text(path, json.dumps(body, indent=1, sort_keys=True))


def record(base: Path, files: Iterable[Path], hashes: Mapping[Path, str] | None = None) -> dict[str, Output]:
    """Describe written files; `hashes` has the blake3 of those that were hashed while they were written."""
    found = {}
    for file in files:
        status = file.stat()
        digest = (hashes or {}).get(file) or hash_file(file)
        found[_name(base, file)] = Output(status.st_size, status.st_mtime_ns, digest)
    return found


def inputs_changed(receipt: Receipt | None, inputs: Mapping[str, str]) -> list[str]:
    """Name the inputs that differ from the receipt's; the empty name stands for a task that was never run."""
    if receipt is None:
        return [""]
    names = sorted({*receipt.inputs, *inputs})
    return [name for name in names if receipt.inputs.get(name) != inputs.get(name)]


def damaged(path: Path, receipt: Receipt, base: Path, *, full: bool = False) -> list[str]:
    """Return the outputs that are missing or have other bytes than when they were written.

    `full` reads every byte; otherwise only files whose size or time differ are read, and a file that was merely
    touched or moved gets its new time noted in the receipt at `path`.
    """
    bad, refreshed = [], dict(receipt.outputs)
    for name, output in receipt.outputs.items():
        file = _path(base, name)
        try:
            status = file.stat()
        except OSError:
            bad.append(name)
            continue
        same_stat = (status.st_size, status.st_mtime_ns) == (output.size, output.mtime_ns)
        if same_stat and not full:
            continue
        if status.st_size != output.size or hash_file(file) != output.blake3:
            bad.append(name)
        elif not same_stat:
            refreshed[name] = replace(output, mtime_ns=status.st_mtime_ns)
    if not bad and refreshed != dict(receipt.outputs):
        with suppress(OSError):
            write(path, replace(receipt, outputs=refreshed))
    return bad


def hash_file(path: Path) -> str:
    """Return the blake3 of a file's bytes in hex."""
    from blake3 import blake3

    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(path)
    return str(hasher.hexdigest())


def _name(base: Path, file: Path) -> str:
    file = file.absolute()
    for prefix, root in [("", base), *((prefix, find()) for prefix, find in PREFIXES.items())]:
        for place in (root.absolute(), root.resolve()):
            with suppress(ValueError):
                return prefix + file.relative_to(place).as_posix()
    return file.as_posix()


def _path(base: Path, name: str) -> Path:
    for prefix, find in PREFIXES.items():
        if name.startswith(prefix):
            return find() / name.removeprefix(prefix)
    return base / name
