"""Rename-only remap of a ~90 MB checkpoint, in this process, against `cp` of it in the same run.

    python benchmarks/remap.py [--file model.safetensors] [--rounds 7] [--json]

Without --file it makes a file of MiniLM's size and keys. Both sides follow the same rule: either neither syncs (`cp`),
or both do (`cp && sync -f`, and the remap as it always runs). Sources are primed into the page cache first; figures
are medians, in milliseconds. The time with hashing is stated beside the time without.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from unittest import mock

import numpy as np
from portwright.remap.worker import run
from portwright.rules.bind import bind
from portwright.rules.load import parse_rules
from portwright.tensorfile import read_header
from portwright.tensorwriter import Entry, TensorWriter
from portwright.workers import Emit

BAR = 1.5


def make_checkpoint(path: Path) -> None:
    """Write a file with the keys and shapes of a six-layer encoder of width 384, 22.7 M float32 parameters."""
    width, inner = 384, 1536
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.LayerNorm.bias": (width,),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.position_embeddings.weight": (512, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.word_embeddings.weight": (30522, width),
    }
    for layer in range(6):
        for name, out, into in [
            *((f"attention.self.{part}", width, width) for part in ("query", "key", "value")),
            ("attention.output.dense", width, width),
            ("intermediate.dense", inner, width),
            ("output.dense", width, inner),
        ]:
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (out, into)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (out,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (width,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (width,)
    shapes |= {"pooler.dense.weight": (width, width), "pooler.dense.bias": (width,)}
    random = np.random.default_rng(0)
    with TensorWriter(path, [Entry(key, "F32", shape) for key, shape in shapes.items()], {"format": "pt"}) as writer:
        for shape in shapes.values():
            writer.write(random.standard_normal(shape, np.float32))
        writer.finish()
        writer.publish()


def rename_all(source: Path, folder: Path) -> Path:
    """Bind a rule for each key that puts it under `model.`, and write moves.json."""
    headers = read_header(source, source.name).tensors
    rules = "schema = 1\n" + "".join(f'[[rule]]\nmatch = "{key}"\nto = "model.{key}"\n' for key in headers)
    names = [f"model.{key}" for key in headers]
    binding = bind(parse_rules(rules.encode(), "rules.toml"), headers, names, {})
    moves = folder / "moves.json"
    moves.write_text(json.dumps(binding.to_json()))
    return moves


def medians(actions: dict[str, Callable[[], object]], clean: Callable[[], object], rounds: int) -> dict[str, float]:
    """The median of each action in milliseconds; every round runs all of them, so that a busy moment hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            clean()
            os.sync()
            begin = time.perf_counter()
            action()
            times[name].append((time.perf_counter() - begin) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="a safetensors file to use instead")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="remap-", dir=os.environ.get("TMPDIR")) as temporary:
        figures = measure(Path(temporary), arguments.file, arguments.rounds)
    ratios = {
        "rename": figures["remap"] / figures["cp"],
        "rename+blake3": figures["remap+blake3"] / figures["cp"],
        "rename+blake3+sha256": figures["remap+blake3+sha256"] / figures["cp"],
        "synced, rename": figures["remap synced"] / figures["cp synced"],
        "synced, rename+blake3+sha256": figures["remap+blake3+sha256 synced"] / figures["cp synced"],
    }
    if arguments.json:
        print(json.dumps({"ms": figures, "ratio": ratios, "bar": BAR}, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value:8.1f}" + (" MB" if name == "size" else " ms"))
        for name, value in ratios.items():
            print(f"{name:32} {value:8.2f} x cp")
    return 0 if ratios["rename"] <= BAR else 1


def measure(folder: Path, given: Path | None, rounds: int) -> dict[str, float]:
    source = folder / "source.safetensors"
    if given is None:
        make_checkpoint(source)
    else:
        source.write_bytes(given.read_bytes())
    moves = rename_all(source, folder)
    copy, out = folder / "copy", folder / "out"
    source.read_bytes()  # prime the page cache

    def remap(*hashes: str) -> None:
        job = {"moves": str(moves), "snapshot": str(folder), "out": str(out), "dtype": None, "shard_bytes": 5 << 30}
        run({**job, "hashes": list(hashes)}, Emit(StringIO()))

    def clean() -> None:
        copy.unlink(missing_ok=True)
        for path in out.glob("*"):
            path.unlink()

    def cp() -> None:
        subprocess.run(["cp", source, copy], check=True)

    def cp_synced() -> None:
        cp()
        subprocess.run(["sync", "-f", copy], check=True)

    remap()  # the imports are not the work
    figures = {"size": source.stat().st_size / 1e6}
    unsynced: dict[str, Callable[[], object]] = {
        "cp": cp,
        "remap": remap,
        "remap+blake3": lambda: remap("blake3"),
        "remap+blake3+sha256": lambda: remap("blake3", "sha256"),
    }
    synced: dict[str, Callable[[], object]] = {
        "cp synced": cp_synced,
        "remap synced": remap,
        "remap+blake3+sha256 synced": lambda: remap("blake3", "sha256"),
    }
    with mock.patch("os.fsync"):
        figures |= medians(unsynced, clean, rounds)
    figures |= medians(synced, clean, rounds)
    return figures


if __name__ == "__main__":
    sys.exit(main())
