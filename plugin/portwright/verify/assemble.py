"""Make a port's model.safetensors from the reference's state dict by the portmap alone (`portwright try`). numpy only.

`python -m portwright.verify.assemble JOB.json`, job {"reference": path of reference.safetensors, "portmap": path,
"out": path of model.safetensors}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from portwright import canonical
from portwright.errors import ExitCode, PortError, Problem
from portwright.verify import circuit
from portwright.verify.golden import read_tensors
from portwright.workers import Emit, worker_main


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Write the weights; returns the number of parameters and of their elements."""
    reference, _ = read_tensors(Path(job["reference"]))
    portmap = canonical.parse_object(Path(job["portmap"]).read_bytes(), job["portmap"])
    weights: dict[str, np.ndarray[Any, Any]] = {}
    problems = []
    for key, entry in portmap["params"].items():
        missing = [name for name in entry["from"] if name not in reference]
        if missing:
            problems.append(Problem(f"portmap.json: {key}", f"the reference has no {', '.join(missing)}"))
            continue
        try:
            made = circuit.forward(entry.get("ops", []), [reference[name] for name in entry["from"]])
        except (ValueError, IndexError) as error:
            problems.append(Problem(f"portmap.json: {key}", f"its ops do not fit the reference's tensors: {error}"))
            continue
        weights[key] = np.asarray(made, order="C")  # ascontiguousarray would make a scalar a vector
    if problems:
        raise PortError(problems, ExitCode.DIVERGED)
    out = Path(job["out"])
    partial = out.with_name(out.name + ".partial")
    save_file(weights, str(partial), {"format": "mlx"})
    partial.replace(out)
    return {"parameters": len(weights), "elements": int(sum(w.size for w in weights.values()))}


if __name__ == "__main__":
    worker_main(run)
