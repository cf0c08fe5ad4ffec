"""The remap worker: everything is checked, then every changed shard is written under a temporary name, then published.

Job: {"moves": path of moves.json, "snapshot": folder, "out": folder, "dtype": "float32" | null, "quantize": null |
{bits, group_size, mode, keep, layers, modules} | {source: true, keep}, "shard_bytes": int,
"weights": {source file: sha256}, "keep": the `keep` of an earlier result, "hashes": ["sha256", "blake3"]}.
Result: {"files": {name: {size, sha256, blake3}}, "keep": {...}, "written": [names], "parameters": n, "bytes": n,
"quantization": object for config.json | null}.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..publish import publish_text
from ..rules.moves import Binding
from ..tensorfile import TensorFile
from ..tensorwriter import Entry, TensorWriter, Written, header_bytes, remove_leftovers
from ..weightfile import open_file
from ..workers import Emit
from .circuits import run as run_circuit
from .circuits import write
from .kept import kept, kept_recipe
from .layout import DROPPED, Shard, plan_shards, stored_sources
from .lazy import Lazy, open_leaf
from .pages import Pages
from .quantize import Recipe, parse_recipe, quantized
from .restore import restore_problems
from .tally import Tally

METADATA = {"format": "mlx"}
INDEX = "model.safetensors.index.json"
_OURS = re.compile(r"model(-[0-9]{5}-of-[0-9]{5})?\.safetensors")


@dataclass
class Sources:
    """The source files of a port, open and checked."""

    binding: Binding
    files: Mapping[str, TensorFile]
    pages: Pages

    def file(self, key: str) -> TensorFile:
        return self.files[self.binding.headers[key].file]

    def lazy(self, key: str) -> Lazy:
        return open_leaf(self.file(key), key)


def run(job: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Do one job; raises PortError before anything is written where a header, a restore or the space is not right."""
    out = Path(job["out"])
    body = json.loads(Path(job["moves"]).read_text(encoding="utf-8"))
    binding = Binding.from_json(body)
    recipe = recipe_of(job.get("quantize"), binding)
    files = _open_sources(binding, Path(job["snapshot"]))
    sources = Sources(binding, files, Pages(files.values()))
    shards = plan_shards(binding, job.get("dtype"), recipe, job["shard_bytes"], job.get("weights", {}))
    problems = list(restore_problems(binding, sources.lazy))
    sources.pages.release()
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    kept = {s.name: job["keep"][s.name] for s in shards if _is_intact(out, s, job.get("keep", {}).get(s.name))}
    changed = [shard for shard in shards if shard.name not in kept]
    stored = [Entry(key, binding.headers[key].dtype, binding.headers[key].shape) for key in stored_sources(binding)]
    needed = sum(shard.size for shard in changed) + sum(entry.size for entry in stored)
    _check_space(out, needed)
    tally = Tally(emit, needed)
    written = _write_all(changed, stored, sources, out, tuple(job.get("hashes", ("sha256", "blake3"))), tally)
    tally.end()
    index = _publish_index(out, shards)
    _remove_stale(out, {*kept, *written, *index})
    plain = {name: {key: entry[key] for key in ("size", "sha256", "blake3")} for name, entry in kept.items()}
    plain |= {name: dict(entry.__dict__) for name, entry in written.items()} | index
    targets = {o.target.key: (o.target.shape, o.dtype) for s in shards for u in s.units for o in u.outputs}
    return {
        "files": dict(sorted(plain.items())),
        "keep": {shard.name: {"digest": shard.digest, **plain[shard.name]} for shard in shards},
        "written": list(written),
        "parameters": sum(prod(shape) for shape, _ in targets.values()),
        "bytes": sum(shard.size for shard in shards),
        "quantization": recipe.config(targets) if recipe else None,
    }


def recipe_of(body: Mapping[str, Any] | None, binding: Binding) -> Recipe | None:
    """How the port is quantized: not at all, as the source is itself, or anew."""
    if not body:
        return None
    return kept_recipe(binding, body.get("keep", ())) if body.get("source") else parse_recipe(body)


def _write_all(
    shards: Sequence[Shard], stored: Sequence[Entry], sources: Sources, out: Path, hashes: Sequence[str], tally: Tally
) -> dict[str, Written]:
    """Write the shards and the stored drops under temporary names, then give all of them their names."""
    writers: dict[str, TensorWriter] = {}

    def begin(name: str, entries: Sequence[Entry]) -> TensorWriter:
        tally.what = name
        writers[name] = TensorWriter(out / name, entries, METADATA, hashes, tally.add)
        return writers[name]

    try:
        for shard in shards:
            writer = begin(shard.name, shard.entries)
            _fill(writer, shard, sources)
            writer.finish()
        if stored:
            writer = begin(DROPPED, stored)
            for entry in stored:
                write(writer, sources.lazy(entry.key), entry.dtype, sources.pages.add)
            writer.finish()
        for writer in writers.values():
            writer.publish()
    finally:
        for writer in writers.values():
            writer.close()
    return {name: writer.written for name, writer in writers.items() if writer.written}


def _open_sources(binding: Binding, snapshot: Path) -> dict[str, TensorFile]:
    """Open and check every source file; its header must still say what the moves were bound to."""
    files: dict[str, TensorFile] = {}
    problems: list[Problem] = []
    for name in sorted({info.file for info in binding.headers.values()}):
        try:
            files[name] = open_file(snapshot / name, name)
        except PortError as error:
            problems += error.problems
    for key, info in binding.headers.items():
        if info.file in files and files[info.file].header.tensors.get(key) != info:
            told = f"tensor {key!r} is not the one that the rules were bound to"
            problems.append(Problem(info.file, told, "the source has changed: run bind again"))
    if problems:
        raise PortError(problems, ExitCode.SOURCE)
    return files


def _fill(writer: TensorWriter, shard: Shard, sources: Sources) -> None:
    for unit in shard.units:
        made = run_circuit(unit.move, sources.lazy)
        for output in unit.outputs:
            lazy = made[output.target.key]
            if output.how is None:
                write(writer, lazy, output.dtype, sources.pages.add)
            elif output.kept:
                for array in kept(unit.move, output.target.key, sources):
                    writer.write(array)
                    sources.pages.add(array.nbytes)
            else:
                for array in quantized(lazy, output.how, output.dtype):
                    writer.write(array)
                    sources.pages.add(array.nbytes * 32 // output.how.bits)


def _is_intact(out: Path, shard: Shard, before: Mapping[str, Any] | None) -> bool:
    """Whether a shard of an earlier run is what this run would write: same digest, and its bytes are undamaged."""
    from blake3 import blake3

    if not before or before.get("digest") != shard.digest:
        return False
    path = out / shard.name
    try:
        expected = header_bytes(shard.entries, METADATA)
        if path.stat().st_size != len(expected) + shard.size:
            return False
        hash = blake3(max_threads=blake3.AUTO)
        hash.update_mmap(path)
        return bool(hash.hexdigest() == before["blake3"])
    except OSError:
        return False


def _check_space(out: Path, needed: int) -> None:
    free = shutil.disk_usage(out).free
    if needed > free:
        hint = "free some space, or set [out] path to another disk"
        raise PortError(Problem(str(out), f"{needed:,} bytes are to be written, and {free:,} are free", hint))


def _publish_index(out: Path, shards: Sequence[Shard]) -> dict[str, dict[str, Any]]:
    """Write the index of several shards as loaders expect it, last of all; gives its entry for the result."""
    from blake3 import blake3

    if len(shards) == 1:
        return {}
    weight_map = {entry.key: shard.name for shard in shards for entry in shard.entries}
    total = sum(prod(o.target.shape) for shard in shards for unit in shard.units for o in unit.outputs)
    metadata = {"total_size": sum(shard.size for shard in shards), "total_parameters": total}
    body = {"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))}
    text = json.dumps(body, indent=4, ensure_ascii=False) + "\n"
    publish_text(out / INDEX, text)
    raw = text.encode()
    return {INDEX: {"size": len(raw), "sha256": sha256(raw).hexdigest(), "blake3": blake3(raw).hexdigest()}}


def _remove_stale(out: Path, current: set[str]) -> None:
    """Remove weights of an earlier layout: loaders read every model*.safetensors, the last one wins."""
    for path in out.iterdir():
        ours = _OURS.fullmatch(path.name) or path.name in (INDEX, DROPPED)
        if ours and path.name not in current:
            path.unlink()
