"""Give the source files back from the port's weights: every move turned around, every drop restored, bit for bit.

Job: {"moves": path of moves.json, "port": folder, "out": folder, "weights": {source file: sha256}, "metadata":
{source file: {...}}}. Result: {"files": {name: {size, sha256, blake3, "exact": bool | null}}, "inexact": [keys]}.
`exact` says whether the whole file has the sha256 it had; "inexact" names the tensors that the port holds narrower.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..dtypes import DTYPES
from ..errors import ExitCode, PortError, Problem
from ..records import TensorInfo
from ..rules.invert import invert
from ..rules.moves import Binding, Drop, Move
from ..tensorfile import TensorFile
from ..tensorwriter import Entry, TensorWriter, remove_leftovers
from ..weightfile import GGUF
from ..workers import Emit, worker_main
from .circuits import run as run_circuit
from .circuits import write
from .layout import DROPPED
from .lazy import Lazy, Leaf, open_leaf
from .pages import Pages
from .restore import restored
from .tally import Tally

_PRECISION = {"F64": 53, "F32": 24, "F16": 11, "BF16": 8}  # bits
_EXPONENT = {"F64": 11, "F32": 8, "F16": 5, "BF16": 8}  # bits


def run(job: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Do one job; raises PortError where the port lacks a tensor or holds it quantized, before anything is written."""
    binding = Binding.from_json(json.loads(Path(job["moves"]).read_text(encoding="utf-8")))
    port = _open_port(Path(job["port"]))
    problems = [*_source_problems(binding), *_port_problems(binding, port)]
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    makers = _makers(binding, port)
    inexact = sorted(key for key, info in binding.headers.items() if _is_narrowed(info, makers[key]()))
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    files: dict[str, list[TensorInfo]] = {}
    for info in sorted(binding.headers.values(), key=lambda info: (info.file, info.start)):
        files.setdefault(info.file, []).append(info)
    pages = Pages(port.values())
    tally = Tally(emit, sum(info.end for infos in files.values() for info in infos[-1:]))
    result: dict[str, Any] = {}
    for name, infos in files.items():
        tally.what = name
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = [Entry(info.key, info.dtype, info.shape) for info in infos]
        metadata = job.get("metadata", {}).get(name, {"format": "pt"})
        with TensorWriter(path, entries, metadata, on_bytes=tally.add) as writer:
            for info in infos:
                write(writer, makers[info.key](), info.dtype, pages.add)
            written = writer.finish()
            writer.publish()
        expected = job.get("weights", {}).get(name)
        result[name] = {**written.__dict__, "exact": written.sha256 == expected if expected else None}
    tally.end()
    return {"files": result, "inexact": inexact}


def _open_port(folder: Path) -> dict[str, TensorFile]:
    """The port's files by tensor key."""
    paths = [*sorted(folder.glob("model*.safetensors")), *folder.glob(DROPPED)]
    if not paths:
        raise PortError(Problem(str(folder), "holds no model*.safetensors", "run: doit remap"))
    found: dict[str, TensorFile] = {}
    for path in paths:
        file = TensorFile(path)
        where = "dropped:" if path.name == DROPPED else ""
        found |= {where + key: file for key in file.header.tensors}
    return found


def _source_problems(binding: Binding) -> list[Problem]:
    files = sorted({info.file for info in binding.headers.values() if info.file.endswith(GGUF)})
    told = "is a GGUF file, whose metadata and blocks the port does not hold"
    return [Problem(file, told, "only safetensors files are given back; fetch the source again") for file in files]


def _port_problems(binding: Binding, port: Mapping[str, TensorFile]) -> list[Problem]:
    problems = []
    for move in binding.moves:
        for target in move.targets:
            file = port.get(target.key)
            info = file.header.tensors[target.key] if file else None
            if info is None:
                problems.append(Problem(target.key, "the port has no such tensor", "run: doit remap"))
            elif target.key.removesuffix("weight") + "scales" in port and info.dtype == "U32":
                hint = "export needs an unquantized port: remove [quantize] and run doit remap"
                problems.append(Problem(target.key, "is quantized, so its source cannot be given back", hint))
            elif info.shape != target.shape:
                problems.append(Problem(target.key, f"has shape {info.shape}, the moves say {target.shape}"))
    for drop in binding.drops:
        if drop.restore.kind == "stored" and f"dropped:{drop.source}" not in port:
            problems.append(Problem(DROPPED, f"does not hold {drop.source!r}", "run: doit remap"))
    return problems


def _makers(binding: Binding, port: Mapping[str, TensorFile]) -> dict[str, Callable[[], Lazy]]:
    """For each source key, what makes its tensor again."""
    makers: dict[str, Callable[[], Lazy]] = {}

    def held(key: str) -> Lazy:
        return open_leaf(port[key], key.removeprefix("dropped:"))

    def moved(move: Move, key: str) -> Lazy:
        return run_circuit(invert(move, binding.headers), held)[key]

    def dropped(drop: Drop) -> Lazy:
        if drop.restore.kind == "copy":
            return makers[str(drop.restore.value)]()
        info = binding.headers[drop.source]
        return Leaf(restored(drop.restore, info), info.dtype)

    for move in binding.moves:
        for key in move.sources:
            makers[key] = partial(moved, move, key)
    for drop in binding.drops:
        makers[drop.source] = partial(dropped, drop)
    for key in port:
        if key.startswith("dropped:"):
            makers[key.removeprefix("dropped:")] = partial(held, key)
    return makers


def _is_narrowed(info: TensorInfo, lazy: Lazy) -> bool:
    """Whether the port's dtype cannot hold every value of the source's."""
    if lazy.code == info.dtype or not DTYPES[info.dtype].floating or info.dtype not in _EXPONENT:
        return False
    one, other = info.dtype, lazy.code
    return _PRECISION[other] < _PRECISION[one] or _EXPONENT[other] < _EXPONENT[one]


if __name__ == "__main__":
    worker_main(run)
