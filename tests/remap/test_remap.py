"""The remap worker: names, dtypes, shards, what is kept, what is removed, and what is refused."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from portwright.errors import PortError
from portwright.workers import Emit
from remap_harness import bound, export, remap, save, weights

DROP = '[[rule]]\nmatch = "position_ids"\ndrop = { reason = "index buffer", restore = { arange = "positions" } }\n'
RULES = f'schema = 1\n{DROP}[[rule]]\nmatch = "l.{{i}}.{{p:w|b}}"\nto = "layers.{{i}}.{{p}}"\n'


def all_but(layer: int) -> str:
    """The rules, with the weight matrix of one layer left to a rule of its own."""
    rest = "|".join(str(index) for index in range(4) if index != layer)
    biases = '[[rule]]\nmatch = "l.{i}.b"\nto = "layers.{i}.b"\n'
    return f'schema = 1\n{DROP}{biases}[[rule]]\nmatch = "l.{{i:{rest}}}.w"\nto = "layers.{{i}}.w"\n'


def checkpoint(folder: Path, layers: int = 4, width: int = 8) -> dict[str, Any]:
    random = np.random.default_rng(0)
    tensors: dict[str, Any] = {"position_ids": np.arange(5)[None]}
    for layer in range(layers):
        tensors[f"l.{layer}.w"] = random.standard_normal((width, width)).astype(np.float32)
        tensors[f"l.{layer}.b"] = random.standard_normal(width).astype(np.float32)
    save(folder, tensors)
    return tensors


def binding_of(folder: Path, rules: str = RULES, layers: int = 4, **config: Any) -> Any:
    names = {f"layers.{i}.{p}" for i in range(layers) for p in "wb"}
    return bound(folder, rules, names, {"positions": 5, **config})


def test_a_port_holds_the_renamed_tensors(tmp_path: Path) -> None:
    """Names are the rule's, bytes the checkpoint's, metadata says mlx, and the result states sizes and hashes."""
    tensors = checkpoint(tmp_path / "source")
    result = remap(binding_of(tmp_path / "source"), tmp_path / "source", tmp_path / "port")
    found = weights(tmp_path / "port")
    assert {k: a.tobytes() for k, a in found.items()} == {
        k.replace("l.", "layers."): a.tobytes() for k, a in tensors.items() if k != "position_ids"
    }
    arrays, metadata = mx.load(str(tmp_path / "port/model.safetensors"), return_metadata=True)
    assert metadata == {"format": "mlx"}
    assert set(arrays) == set(found)
    content = (tmp_path / "port/model.safetensors").read_bytes()
    entry = result["files"]["model.safetensors"]
    assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert result["parameters"] == 4 * 72
    assert [path.name for path in (tmp_path / "port").iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_floats_are_cast_and_nothing_else(tmp_path: Path, dtype: str) -> None:
    """Every float tensor has the port's dtype, as MLX itself would cast it; integers stay as they are."""
    array = np.random.default_rng(0).standard_normal((33, 7)).astype(np.float32)
    save(tmp_path / "source", {"w": array, "half": array.astype(np.float16), "n": np.arange(3)})
    remap(
        bound(tmp_path / "source", "schema = 1", {"w", "half", "n"}),
        tmp_path / "source",
        tmp_path / "port",
        dtype=dtype,
    )
    found = mx.load(str(tmp_path / "port/model.safetensors"))
    kind = getattr(mx, dtype)
    assert (found["w"].dtype, found["half"].dtype, found["n"].dtype) == (kind, kind, mx.int64)
    assert mx.array_equal(found["w"], mx.array(array).astype(kind)).item()
    assert mx.array_equal(found["half"], mx.array(array.astype(np.float16)).astype(kind)).item()


def test_shards_are_named_and_indexed_as_loaders_expect(tmp_path: Path) -> None:
    """No shard is larger than asked, the index lists every tensor, and the library reads them."""
    checkpoint(tmp_path / "source")
    result = remap(binding_of(tmp_path / "source"), tmp_path / "source", tmp_path / "port", shard_bytes=330)
    index = json.loads((tmp_path / "port/model.safetensors.index.json").read_text())
    assert sorted(result["files"]) == [
        *(f"model-0000{i}-of-00004.safetensors" for i in (1, 2, 3, 4)),
        "model.safetensors.index.json",
    ]
    assert set(index["weight_map"]) == set(weights(tmp_path / "port"))
    assert index["metadata"] == {"total_size": 4 * 72 * 4, "total_parameters": 4 * 72}
    for name, file in index["weight_map"].items():
        assert name in mx.load(str(tmp_path / "port" / file))


def test_only_touched_shards_are_written_again(tmp_path: Path) -> None:
    """After an edit of one rule the other shards are not even opened for writing; a drop moves no shard's border."""
    checkpoint(tmp_path / "source")
    folder, port = tmp_path / "source", tmp_path / "port"
    first = remap(binding_of(folder), folder, port, shard_bytes=330)
    before = {path.name: path.stat().st_mtime_ns for path in port.glob("*.safetensors")}
    again = remap(binding_of(folder), folder, port, shard_bytes=330, keep=first["keep"])
    assert again["written"] == []
    assert again["files"] == first["files"]
    edited = all_but(2) + '[[rule]]\nmatch = "l.2.w"\nto = "layers.2.w"\nops = [{ transpose = [1, 0] }]\n'
    third = remap(binding_of(folder, edited), folder, port, shard_bytes=330, keep=first["keep"])
    assert len(third["written"]) == 1
    after = {path.name: path.stat().st_mtime_ns for path in port.glob("*.safetensors")}
    assert sum(before[name] != after[name] for name in before) == 1
    drop = 'drop = { reason = "x", restore = { stored = true } }'
    dropped = f'{all_but(0)}[[rule]]\nmatch = "l.0.w"\n{drop}\n'
    fourth = remap(binding_of(folder, dropped), folder, port, shard_bytes=330, keep=first["keep"])
    assert len([name for name in fourth["written"] if name.startswith("model-")]) == 2  # its own and the edited one


def test_a_damaged_shard_is_not_kept(tmp_path: Path) -> None:
    """A kept shard's bytes are hashed: one flipped bit and it is written again."""
    checkpoint(tmp_path / "source")
    folder, port = tmp_path / "source", tmp_path / "port"
    first = remap(binding_of(folder), folder, port, shard_bytes=330)
    victim = port / "model-00003-of-00004.safetensors"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    again = remap(binding_of(folder), folder, port, shard_bytes=330, keep=first["keep"])
    assert again["written"] == [victim.name]
    assert again["files"] == first["files"]


def test_weights_of_an_older_layout_go(tmp_path: Path) -> None:
    """Loaders read every model*.safetensors, so shards of an earlier run are removed, and nothing else is."""
    checkpoint(tmp_path / "source")
    folder, port = tmp_path / "source", tmp_path / "port"
    remap(binding_of(folder), folder, port, shard_bytes=330)
    (port / "model.py").write_text("")
    (port / "model-of-mine.safetensors").write_text("")
    (port / ".model.safetensors.part").write_text("left by a killed writer")
    remap(binding_of(folder), folder, port)
    assert sorted(path.name for path in port.iterdir()) == [
        "model-of-mine.safetensors",
        "model.py",
        "model.safetensors",
    ]


def test_a_drop_that_cannot_be_restored_is_refused(tmp_path: Path) -> None:
    """`restore` is checked against the real bytes before anything is written, and the difference is named."""
    tensors = checkpoint(tmp_path / "source")
    save(tmp_path / "source", {**tensors, "position_ids": np.array([[0, 1, 2, 7, 4]])})
    with pytest.raises(PortError, match="element 3 is 7, not 3"):
        remap(binding_of(tmp_path / "source"), tmp_path / "source", tmp_path / "port")
    assert not (tmp_path / "port").exists()


def test_a_slice_that_cuts_off_weights_is_refused(tmp_path: Path) -> None:
    """What slice cuts off must be what `restore` gives, here zero; where it is, export gives the file back."""
    array = np.ones((6, 2), np.float32)
    op = '{ slice = { stop = 4, reason = "padding", restore = { full = 0 } } }'
    rules = f'schema = 1\n[[rule]]\nmatch = "w"\nto = "w"\nops = [{op}]\n'
    save(tmp_path / "source", {"w": array})
    with pytest.raises(PortError, match=r"is not 0 everywhere: element 0 is 1\.0, not 0\.0"):
        remap(bound(tmp_path / "source", rules, {"w"}), tmp_path / "source", tmp_path / "port")
    array[4:] = 0
    save(tmp_path / "source", {"w": array})
    remap(bound(tmp_path / "source", rules, {"w"}), tmp_path / "source", tmp_path / "port")
    assert weights(tmp_path / "port")["w"].shape == (4, 2)
    export(tmp_path / "port", tmp_path / "back")
    assert (tmp_path / "back/model.safetensors").read_bytes() == (tmp_path / "source/model.safetensors").read_bytes()


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    """Progress events count bytes, never fall, and end at the total."""
    checkpoint(tmp_path / "source")
    stream = StringIO()
    remap(binding_of(tmp_path / "source"), tmp_path / "source", tmp_path / "port", Emit(stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    done = [event["done"] for event in events]
    assert done == sorted(done)
    assert events[-1]["done"] == events[-1]["total"] > 0
    assert events[-1]["unit"] == "B"


def run_worker_process(job: dict[str, Any], tmp_path: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job))
    command = [sys.executable, "-m", "portwright.remap", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_a_full_disk_leaves_the_old_port_whole(tmp_path: Path) -> None:
    """When the disk ends, the message says which file, no temporary stays, and the old weights are there."""
    checkpoint(tmp_path / "source", width=64)
    binding = binding_of(tmp_path / "source")
    remap(binding, tmp_path / "source", tmp_path / "port", dtype="float16")
    before = (tmp_path / "port/model.safetensors").read_bytes()
    job = {
        "moves": str(tmp_path / "port.moves.json"),
        "snapshot": str(tmp_path / "source"),
        "out": str(tmp_path / "port"),
    }
    limit = 40_000

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = run_worker_process({**job, "dtype": "float32", "shard_bytes": 1 << 30}, tmp_path, preexec_fn=small_disk)
    event = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, event["event"]) == (1, "error"), done.stderr
    assert "model.safetensors" in event["problems"][0]["where"]
    assert "free some space" in event["problems"][0]["hint"]
    assert "Traceback" not in done.stderr
    assert (tmp_path / "port/model.safetensors").read_bytes() == before
    assert [path.name for path in (tmp_path / "port").iterdir()] == ["model.safetensors"]


def test_too_little_space_is_said_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk cannot hold the port, nothing is begun."""
    checkpoint(tmp_path / "source")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(PortError, match="1,152 bytes are to be written, and 100 are free"):
        remap(binding_of(tmp_path / "source"), tmp_path / "source", tmp_path / "port")
    assert list((tmp_path / "port").iterdir()) == []


def test_every_file_is_listed_with_its_hashes(tmp_path: Path) -> None:
    """The result names each file that was published, the index and the kept drops included."""
    tensors = checkpoint(tmp_path / "source")
    rules = RULES.replace('{ arange = "positions" }', "{ stored = true }")
    result = remap(binding_of(tmp_path / "source", rules), tmp_path / "source", tmp_path / "port", shard_bytes=330)
    assert set(result["files"]) == {path.name for path in (tmp_path / "port").iterdir()}
    assert all(len(entry["blake3"]) == 64 and len(entry["sha256"]) == 64 for entry in result["files"].values())
    back = export(tmp_path / "port", tmp_path / "back")
    assert back["inexact"] == []
    assert np.array_equal(weights(tmp_path / "back")["position_ids"], tensors["position_ids"])


def test_export_says_what_was_narrowed(tmp_path: Path) -> None:
    """A port in float16 cannot give float32 back exactly, and export names those tensors."""
    checkpoint(tmp_path / "source")
    remap(binding_of(tmp_path / "source"), tmp_path / "source", tmp_path / "port", dtype="float16")
    back = export(tmp_path / "port", tmp_path / "back", weights={"model.safetensors": "0" * 64})
    assert back["inexact"] == sorted(f"l.{i}.{p}" for i in range(4) for p in "wb")
    assert back["files"]["model.safetensors"]["exact"] is False
