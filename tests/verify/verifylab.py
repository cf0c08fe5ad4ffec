"""Capture, port and measure the two fixture networks."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from portwright.verify import circuit
from portwright.workers import run_worker
from safetensors.numpy import load_file
from safetensors.torch import save_file

FIXTURES = Path(__file__).parent / "fixtures"
CLASSES = {"text": "reference_text:TextNet", "picture": "reference_picture:PictureNet"}


def capture(name: str, folder: Path, **changes: object) -> Path:
    """Capture a fixture network with drawn weights."""
    job = {
        "reference": CLASSES[name],
        "config": str(FIXTURES / name / "config.json"),
        "mode": "redraw",
        "seed": 3,
        "out": str(folder / "golden"),
        **changes,
    }
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FIXTURES), os.environ.get("PYTHONPATH", "")])
    run_worker("portwright.verify.capture", job)
    return folder / "golden"


def make_port(name: str, golden: Path, folder: Path, dtype: str = "float32") -> Path:
    """A port's directory: the hand-written model, and the drawn weights moved as its portmap says."""
    shutil.copytree(FIXTURES / name, folder)
    portmap = json.loads((folder / "portmap.json").read_text())
    reference = load_file(golden / "reference.safetensors")
    weights = {}
    for key, entry in portmap["params"].items():
        value = reference[entry["from"][0]]
        for op in entry["ops"]:
            value = circuit.apply({"op": "transpose", "perm": op["transpose"]}, [value])[0]
        weights[key] = torch.from_numpy(np.ascontiguousarray(value))
        if weights[key].is_floating_point():
            weights[key] = weights[key].to(getattr(torch, dtype))
    save_file(weights, folder / "model.safetensors")
    return folder


def make_moves(golden: Path, port: Path, out: Path) -> Path:
    """A moves.json from the drawn weights (as the source) to the port, with the portmap's layout ops."""
    source = golden / "reference.safetensors"
    shapes = {k: list(v.shape) for k, v in load_file(source).items()}
    portmap = json.loads((port / "portmap.json").read_text())
    moves = []
    for key, entry in portmap["params"].items():
        ops = [{"op": "transpose", "in": [0], "out": [1], "perm": op["transpose"]} for op in entry["ops"]]
        target = {"key": key, "shape": entry["shape"], "dtype": "F32", "register": len(ops)}
        moves.append({"rule": "library", "sources": entry["from"], "targets": [target], "ops": ops})
    sources = {k: {"dtype": "F32", "shape": s, "file": source.name, "offsets": [0, 0]} for k, s in shapes.items()}
    out.write_text(json.dumps({"schema": 1, "sources": sources, "moves": moves, "drops": []}))
    return out


def measure(port: Path, golden: Path, out: Path, **changes: object) -> dict[str, object]:
    """Run the measure worker and read what it measured."""
    job = {"port": str(port), "golden": str(golden), "out": str(out), **changes}
    run_worker("portwright.verify.measure", job, mlx=True)
    return dict(json.loads(out.read_text()))
