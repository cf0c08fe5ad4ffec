"""Every row of the translation tables gives torch's numbers: one module whose forward is the row's expression."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from grade import environment
from portwright.workers import run_worker
from rows import ROWS

HEAD = """import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from torch import nn


"""
CLASS = '''class Rows(nn.Module):
    """All row expressions, one method each."""

    def forward(self, {arguments}):
        return ({calls},)

'''


def batches() -> list[list[str]]:
    """Rows in groups, so that torch and MLX start a few times and not a hundred.

    `PORTWRIGHT_ROWS=hypot,logaddexp` runs those alone, by the names that they have in rows.py.
    """
    wanted = os.environ.get("PORTWRIGHT_ROWS")
    names = wanted.split(",") if wanted else list(ROWS)
    return [names[i : i + 40] for i in range(0, len(names), 40)]


def reference(names: list[str], folder: Path) -> dict[str, object]:
    """A module with one method per row, and a probe that feeds each its own inputs."""
    arguments, calls, methods = [], [], []
    for n, name in enumerate(names):
        expression, shapes = ROWS[name]
        own = {k: f"{k}{n}" for k in shapes}
        arguments += list(own.values())
        calls.append(f"self.row{n}({', '.join(own.values())})")
        methods.append(f"    def row{n}(self, {', '.join(own)}):\n        return {expression}\n")
    text = HEAD + CLASS.format(arguments=", ".join(arguments), calls=", ".join(calls)) + "\n".join(methods)
    (folder / "rowmodule.py").write_text(text)
    return {"reference": "rowmodule:Rows", "configs": [{"kwargs": {}}]}


DRAW = """
import json, sys, torch
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]).parent))
from rows import ROWS
from portwright.reference.probes import Probe, write_probe
names, folder = json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
for seed in (1, 2):
    g = torch.Generator().manual_seed(seed)
    tensors = {}
    for n, name in enumerate(names):
        for k, shape in ROWS[name][1].items():
            if k in "ij":
                tensors[f"{k}{n}"] = torch.randint(0, 4, shape, generator=g)
            else:
                x = torch.randn(shape, generator=g)
                tensors[f"{k}{n}"] = x.abs() + 0.1 if k == "p" else x
    write_probe(folder / f"probe{seed}.safetensors", Probe(f"draw{seed}", tensors, {}, seed, seed == 1))
"""


@pytest.mark.parametrize("names", batches(), ids=lambda names: names[0].split()[0])
def test_rows_equal_torch(names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each torch function of the tables gives the same numbers in MLX, on values it was not generated from too."""
    case = reference(names, tmp_path)
    here = Path(__file__).resolve().parent
    (tmp_path / "draw.py").write_text(DRAW)
    (tmp_path / "names.json").write_text(json.dumps(names))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{here}:{here.parents[1] / 'plugin'}")
    draw = [
        sys.executable,
        str(tmp_path / "draw.py"),
        str(here / "rows.py"),
        str(tmp_path / "names.json"),
        str(tmp_path),
    ]
    subprocess.run(draw, check=True)
    probes = [str(tmp_path / f"probe{s}.safetensors") for s in (1, 2)]
    common = {**case, "seed": 0, "probes": probes, "overrides": {}}
    run_worker("portwright.codegen.observe", {**common, "out": str(tmp_path / "trace")})
    job = {"trace": str(tmp_path / "trace"), "out": str(tmp_path / "port"), "runtime": "standalone", "licence": None}
    result = run_worker("portwright.codegen.generate", job, mlx=True)
    assert result["holes"] == []
    (tmp_path / "compare").mkdir()
    compare = tmp_path / "compare.json"
    compare.write_text(json.dumps({**common, "out": str(tmp_path / "compare"), "port": str(tmp_path / "port")}))
    for side in ("torch", "mlx"):
        subprocess.run([sys.executable, str(here / "grade.py"), side, str(compare)], env=environment(side), check=True)
    for figure in json.loads((tmp_path / "compare" / "figures.json").read_text()):
        assert "failed" not in figure, figure.get("failed")
        wrong = {n: e for n, e in zip(names, figure["errors"], strict=True) if not (isinstance(e, float) and e < 1e-5)}
        assert wrong == {}, figure["probe"]
