"""Bind, remap and export in this process, as the workers do in theirs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from portwright.records import TensorInfo
from portwright.remap.export import run as run_export
from portwright.remap.worker import run as run_remap
from portwright.rules.bind import bind
from portwright.rules.load import parse_rules
from portwright.rules.moves import Binding
from portwright.tensorfile import read_header
from portwright.workers import Emit
from safetensors.numpy import load_file, save_file

Array = np.ndarray[Any, Any]


def headers_of(folder: Path) -> dict[str, TensorInfo]:
    files = sorted(folder.rglob("*.safetensors"))
    return {k: i for f in files for k, i in read_header(f, f.relative_to(folder).as_posix()).tensors.items()}


def save(folder: Path, tensors: Mapping[str, Array], name: str = "model.safetensors") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: np.array(array, order="C") for key, array in tensors.items()}, folder / name, {"format": "pt"})


def bound(folder: Path, rules: str, names: Collection[str], config: Mapping[str, Any] | None = None) -> Binding:
    return bind(parse_rules(rules.encode(), "rules.toml"), headers_of(folder), names, config or {})


def remap(binding: Binding, folder: Path, out: Path, emit: Emit | None = None, **job: Any) -> dict[str, Any]:
    moves = out.with_name(out.name + ".moves.json")
    moves.write_text(json.dumps(binding.to_json()))
    whole = {"moves": str(moves), "snapshot": str(folder), "out": str(out), "dtype": None, "shard_bytes": 1 << 30}
    return run_remap({**whole, **job}, emit or Emit(StringIO()))


def export(out: Path, target: Path, **job: Any) -> dict[str, Any]:
    moves = out.with_name(out.name + ".moves.json")
    return run_export({"moves": str(moves), "port": str(out), "out": str(target), **job}, Emit(StringIO()))


def weights(out: Path) -> dict[str, Array]:
    return {k: a for file in sorted(out.glob("model*.safetensors")) for k, a in load_file(file).items()}
