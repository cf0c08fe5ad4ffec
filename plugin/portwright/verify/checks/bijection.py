"""Does each element of the reference arrive in the port exactly once, bit for bit?

The port's own bytes are taken back through the portmap and digested: they must be what the reference loaded, through
its own library. Where moves.json is given, the source's bytes are followed forward as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from portwright.verify import circuit
from portwright.verify.measure import ledger
from portwright.verify.measure.bench import Bench, Measured, NotRun
from portwright.verify.measure.port import DTYPES, read_safetensors


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Count the tensors of the reference whose bytes do not come back from the port."""
    if bench.quantized and not bench.job.unquantized and not bench.job.kept:
        yield NotRun("bijection/elements", "the port is quantized and its unquantized weights were not given")
        return
    files = bench.job.unquantized or None
    if bench.job.kept:
        stored = bench.plain_weights or {}
    else:
        stored = {k: v for f in files for k, v in read_safetensors(f).items()} if files else bench.port.stored()
    said = undone(bench, stored)
    if bench.job.moves is not None and bench.job.snapshot is not None:
        said += ledger.follow(bench.job.moves, bench.job.snapshot, stored, DTYPES[bench.dtype])
    yield Measured("bijection/elements", "mismatches", len(said), 0, "exact", "\n".join(said))


def undone(bench: Bench, stored: Mapping[str, mx.array]) -> list[str]:
    """Say of each tensor of the reference whose bytes do not come back from these weights of the port."""
    inventory = bench.golden.body["parameters"]
    dtypes = {dtype: name for name, dtype in DTYPES.items()}
    said: list[str] = []
    for key, entry in bench.port.portmap["params"].items():
        if key not in stored or any(name not in inventory for name in entry["from"]):
            continue  # coverage says so
        shapes = [inventory[name]["shape"] for name in entry["from"]]
        try:
            parts = circuit.undo(entry.get("ops", []), bits(stored[key]), shapes)
        except (ValueError, IndexError) as error:
            said.append(f"{key}: the portmap's ops cannot be undone on {tuple(stored[key].shape)}: {error}")
            continue
        for name, part in zip(entry["from"], parts, strict=False):
            digests = inventory[name]["sha256"]
            expected = digests.get(dtypes.get(stored[key].dtype, ""), digests.get("exact"))
            if hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() != expected:
                said.append(f"{key}: its bytes are not those of the reference's {name}")
        if len(parts) != len(entry["from"]):
            said.append(f"{key}: holds {len(parts)} tensors of the reference, the portmap names {len(entry['from'])}")
    return said


def bits(value: mx.array) -> NDArray[Any]:
    """The elements as numpy moves them without touching a bit; integers as int64, as the inventory digests them."""
    if value.dtype == mx.bfloat16:
        return np.array(value.view(mx.uint16))
    array = np.array(value)
    return array.astype(np.int64) if array.dtype.kind in "iu" else array
