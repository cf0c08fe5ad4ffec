"""Slow: workers killed at random moments, and the memory that a large checkpoint takes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from portwright.errors import PortError
from portwright.remap.lazy import BLOCK
from portwright.rules.moves import Binding, Move, Target
from portwright.tensorfile import read_header
from portwright.tensorwriter import Entry, header_bytes
from remap_harness import bound, headers_of, remap, save

pytestmark = pytest.mark.slow


def write_job(tmp_path: Path, binding: Binding, **more: object) -> list[str]:
    (tmp_path / "moves.json").write_text(json.dumps(binding.to_json()))
    job = {"moves": str(tmp_path / "moves.json"), "snapshot": str(tmp_path / "source"), "out": str(tmp_path / "port")}
    (tmp_path / "job.json").write_text(json.dumps({**job, **more}))
    return [sys.executable, "-m", "portwright.remap", str(tmp_path / "job.json")]


def test_a_killed_remap_never_leaves_a_broken_weight_file(tmp_path: Path) -> None:
    """Killed at 24 random moments: every file under its own name is whole, old or new, and the next run finishes."""
    tensors = {f"l.{i}.w": np.random.default_rng(i).standard_normal((512, 1024)).astype(np.float32) for i in range(24)}
    save(tmp_path / "source", tensors)
    headers = headers_of(tmp_path / "source")
    moves = tuple(Move("r", (key,), (Target(f"x.{key}", info.shape, "F32"),)) for key, info in headers.items())
    binding = Binding(moves, (), headers)
    whole: set[tuple[str, bytes]] = set()
    for number, dtype in enumerate(("float32", "float16")):
        remap(binding, tmp_path / "source", tmp_path / f"whole{number}", dtype=dtype, shard_bytes=20 << 20)
        whole |= {(path.name, path.read_bytes()) for path in (tmp_path / f"whole{number}").glob("*.safetensors")}
    seconds = []
    for _ in range(2):
        command = write_job(tmp_path, binding, dtype="float32", shard_bytes=20 << 20)
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - begin)
    chance = random.Random(7)
    killed = 0
    for turn in range(24):
        command = write_job(tmp_path, binding, dtype=("float16", "float32")[turn % 2], shard_bytes=20 << 20)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 1.0) * min(seconds))
        process.kill()
        killed += process.wait() != 0
        for path in (tmp_path / "port").glob("model*.safetensors"):
            read_header(path)
            assert (path.name, path.read_bytes()) in whole
    assert killed >= 10
    subprocess.run(write_job(tmp_path, binding, dtype="float32", shard_bytes=20 << 20), check=True)
    assert sorted(path.name for path in (tmp_path / "port").iterdir()) == sorted(
        path.name for path in (tmp_path / "whole0").iterdir()
    )


def sparse_checkpoint(path: Path, entries: list[Entry]) -> None:
    """A file of zeros that takes no space on disk."""
    path.parent.mkdir(parents=True)
    header = header_bytes(entries, {"format": "pt"})
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + sum(entry.size for entry in entries))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_memory_does_not_grow_with_the_model(tmp_path: Path, dtype: str) -> None:
    """A checkpoint of 1.5 GB, with stacked experts and a transposed matrix, is remapped in 300 MB."""
    shape = (2048, 8192)  # 64 MB
    entries = [Entry(f"e.{i}.w", "F32", shape) for i in range(20)] + [Entry(f"t.{i}", "F32", shape) for i in range(4)]
    sparse_checkpoint(tmp_path / "source/model.safetensors", entries)
    rules = 'schema = 1\n[[rule]]\nmatch = "e.{e}.w"\nto = "experts.w"\nops = [{ stack = { axis = 0, over = "e" } }]\n'
    rules += '[[rule]]\nmatch = "t.{i}"\nto = "t.{i}"\nops = [{ transpose = [1, 0] }]\n'
    binding = bound(tmp_path / "source", rules, {"experts.w", *(f"t.{i}" for i in range(4))})
    command = write_job(tmp_path, binding, dtype=dtype, shard_bytes=1 << 40)
    # A child's peak inherits its parent's, so it is asked from inside, by a parent that holds nothing.
    code = "import subprocess, resource, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300 * 1024, f"{int(done.stdout) // 1024} MB; a block is {BLOCK >> 20} MB"
    assert read_header(tmp_path / "port/model.safetensors").tensors["experts.w"].shape == (20, *shape)


def test_a_header_at_the_limit_is_read_and_one_beyond_is_not(tmp_path: Path) -> None:
    """A hundred million bytes of header are the library's limit, and ours."""
    path = tmp_path / "x.safetensors"
    path.write_bytes((100_000_000).to_bytes(8, "little") + b"{" + b" " * 99_999_998 + b"}")
    assert read_header(path).tensors == {}
    path.write_bytes((100_000_001).to_bytes(8, "little") + b"{" + b" " * 99_999_999 + b"}")
    with pytest.raises(PortError, match="100,000,000 are allowed"):
        read_header(path)
