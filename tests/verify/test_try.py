"""`portwright try`: the preflight's statuses, exit codes, and the port that it leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from portwright import tryport
from portwright.errors import ExitCode, PortError
from portwright.openblas import preload
from portwright.tryport import Options, TryResult, run_try
from portwright.verify.blame import blame
from portwright.workers import run_worker
from verifylab import FIXTURES

USE = """
import importlib.util, json, sys
import mlx.core as mx
import numpy as np
spec = importlib.util.spec_from_file_location("m", "model.py")
code = importlib.util.module_from_spec(spec)
sys.modules["m"] = code
spec.loader.exec_module(code)
m = code.Model(code.ModelArgs.from_dict(json.load(open("config.json"))))
m.load_weights("model.safetensors")
m.eval()
out = m(**mx.load("inputs.safetensors"))
np.testing.assert_allclose(np.array(out), np.array(mx.load("outputs.safetensors")["000"]), atol=1e-5)
assert not {"torch", "portwright"} & set(sys.modules)
"""


@pytest.fixture(autouse=True)
def fixtures_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FIXTURES), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[TryResult, Path]:
    """One try of the plain class, with its --out folder."""
    folder = tmp_path_factory.mktemp("try")
    config = folder / "c.json"
    config.write_text('{"kwargs": {"size": 24}}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(FIXTURES), os.environ.get("PYTHONPATH", "")]))
        return run_try("reference_plain:Plain", config, None, folder / "out"), folder / "out"


def test_a_plain_class_ports(kept: tuple[TryResult, Path]) -> None:
    """A plain class is ported with no holes, compared on inputs that codegen saw and on ones that it did not."""
    result, _ = kept
    assert (result.status, result.exit_code, result.holes) == ("ported", ExitCode.OK, [])
    assert {row["observed"] for row in result.outputs} == {True, False}
    assert all(row["rel_l2"] < 1e-5 and row["max_abs"] < 1e-4 for row in result.outputs)
    assert result.modules_compared == 10
    line = json.loads(result.to_json())
    wanted = {"reference", "status", "classes", "lines", "holes", "outputs", "modules_compared", "first_divergence"}
    assert wanted | {"seconds", "peak_rss", "model_py"} <= set(line)
    assert "\n" not in result.to_json()


def test_what_it_keeps_stands_alone(kept: tuple[TryResult, Path]) -> None:
    """The kept files load by the three lines of the contract, without torch and without portwright."""
    _, out = kept
    names = {"model.py", "config.json", "portmap.json", "model.safetensors", "reference.safetensors"}
    assert {p.name for p in out.iterdir()} == names | {"inputs.safetensors", "outputs.safetensors"}
    done = subprocess.run([sys.executable, "-c", USE], cwd=out, env=preload(dict(os.environ)), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_wrong_port_is_diverged_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Code that computes something else ends with the divergence's module and exit code 4."""

    def spoiled(module: str, job: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        made = run_worker(module, job, **kwargs)
        if module == "portwright.codegen.generate":
            code = Path(job["out"]) / "model.py"
            text = code.read_text()
            assert "nn.gelu" in text
            code.write_text(text.replace("nn.gelu", "nn.gelu_approx"))
        return made

    monkeypatch.setattr(tryport, "run_worker", spoiled)
    result = run_try("reference_plain:Plain")
    assert (result.status, result.exit_code) == ("diverged", ExitCode.DIVERGED)
    assert result.first_divergence is not None
    assert result.first_divergence["where"] == "blocks.0"
    assert "mismatched elements" in result.first_divergence["detail"]


def test_a_reference_that_cannot_run_is_not_built() -> None:
    """A class that accepts no inputs, and one that is not there, end with exit code 5 and the reason."""
    result = run_try("reference_plain:Broken")
    assert (result.status, result.exit_code) == ("not-built", ExitCode.NOT_BUILT)
    assert "no inputs" in result.problems[0]["problem"]


def test_wrong_arguments_are_usage(tmp_path: Path) -> None:
    """A config that is not JSON and inputs that are not there raise a usage error before anything runs."""
    (tmp_path / "c.json").write_text("{")
    for arguments in (
        (tmp_path / "c.json", None),
        (tmp_path / "none.json", None),
        (None, tmp_path / "none.safetensors"),
    ):
        with pytest.raises(PortError) as error:
            run_try("reference_plain:Plain", *arguments)
        assert error.value.code == ExitCode.USAGE


def test_holes_are_a_status_of_their_own(
    kept: tuple[TryResult, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A port with holes ends with exit code 3 and lists them; it is not compared, since a hole raises."""
    hole = {"where": "Block.forward:3", "reason": "no translation", "source": "torch.linalg.svd(x)"}
    ran = []

    def stand_in(module: str, job: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        ran.append(module.rpartition(".")[2])
        out = Path(job["out"])
        if ran[-1] == "generate":
            shutil.copytree(kept[1], out, dirs_exist_ok=True)
        if ran[-1] == "capture":
            out.mkdir(exist_ok=True)
            for name in ("reference", "inputs.000", "outputs.000"):
                (out / f"{name}.safetensors").write_bytes(b"")
        return {"holes": [hole], "classes": 2, "lines": 60}

    monkeypatch.setattr(tryport, "run_worker", stand_in)
    config = tmp_path / "c.json"
    config.write_text("{}")
    result = run_try("reference_plain:Plain", config)
    assert (result.status, result.exit_code, result.holes) == ("holes", ExitCode.HOLES, [hole])
    assert sorted(ran) == ["assemble", "capture", "generate", "observe"]


def test_the_smallest_and_earliest_module_is_blamed() -> None:
    """Parents fail because of their children, and later modules because of earlier ones: neither is blamed."""
    bad = {"metric": "rel_l2", "value": 1.0, "noise": 1e-7, "origin": "fp64"}
    good = {**bad, "value": 1e-7}
    checks = {"isolate/a": good, "isolate/a.b": bad, "isolate/c": bad, "isolate/a.b.c": good, "outputs/observed": bad}
    assert blame({"order": ["a.b.c", "a.b", "a", "c"], "checks": checks}) == "a.b"
    assert blame({"order": [], "checks": {"outputs/observed": bad}}) == "outputs/observed"
    assert blame({"order": ["a"], "checks": {"isolate/a": good}}) is None


def test_without_a_config_a_tiny_one_is_made_and_said(tmp_path: Path) -> None:
    """A model type alone is enough: a tiny config is made, kept as the library saves it, and named in the notes."""
    result = run_try("distilbert", out=tmp_path / "out")
    assert (result.status, result.holes) == ("ported", []), result.problems
    assert "tiny config" in result.notes[0]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dim"] == 32


def test_a_try_over_a_limit_is_failed_and_says_which() -> None:
    """Too little time and too little memory end a try as failed, with the limit in the problem."""
    late = run_try("reference_plain:Plain", options=Options(time_limit=0.05))
    assert late.status == "failed"
    assert "longer than 0.05 s" in late.problems[0]["problem"]
    big = run_try("reference_plain:Plain", options=Options(memory_limit=2**20))
    assert big.status == "failed"
    assert "GiB" in big.problems[0]["problem"]
