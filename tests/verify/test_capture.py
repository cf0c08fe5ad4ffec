"""What a golden holds, and where its weights come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from portwright.errors import ExitCode, PortError
from portwright.verify.compare import describe, distance
from portwright.verify.golden import Golden, read_tensors
from portwright.workers import run_worker
from safetensors.numpy import load_file, save_file
from verifylab import CLASSES, FIXTURES


def job(golden: Path, files: list[str], **changes: object) -> dict[str, object]:
    base = {"reference": CLASSES["picture"], "config": str(FIXTURES / "picture" / "config.json"), "weights": files}
    return {**base, "mode": "snapshot", "out": str(golden), "dtypes": ["float32"], **changes}


def test_a_golden_is_complete(text: SimpleNamespace) -> None:
    """Every module with parameters is recorded on seen and unseen probes, with noise of each dtype, and all is live."""
    golden = Golden(text.golden)
    assert {c.module for c in golden.calls} >= set(golden.body["facts"]["modules"])
    assert golden.body["uncalled"] == []
    assert {golden.probes[c.probe].observed for c in golden.calls} == {True, False}
    assert all(c.noise["float32"].rel_l2 >= 1.19e-7 for c in golden.calls)
    assert {p.name for p in golden.probes if "bfloat16" not in p.noise} == {"unseen-long"}
    assert golden.probes[0].noise["bfloat16"]["000"].rel_l2 > 1e3 * golden.probes[0].noise["float32"]["000"].rel_l2
    assert golden.body["facts"]["traits"] == ["batch", "long", "padding"]
    assert golden.body["sensitivity"]["unobserved"] == []
    assert all(golden.body["sensitivity"]["inputs"].values())
    lengths = [golden.arguments(p.inputs)[0]["input_ids"].shape[1] for p in golden.probes if "long" in p.tags]
    assert max(lengths) == 96


def test_a_damaged_golden_is_refused(picture: SimpleNamespace, tmp_path: Path) -> None:
    """A golden whose file was changed is not measured against."""
    shutil.copytree(picture.golden, tmp_path / "golden")
    (tmp_path / "golden" / "outputs.000.safetensors").write_bytes(b"x")
    with pytest.raises(PortError, match="not the captured ones"):
        Golden(tmp_path / "golden")


def test_the_same_weights_give_the_same_answers_whichever_way_they_load(
    picture: SimpleNamespace, tmp_path: Path
) -> None:
    """The library's names, a golden source, and another layout through bound rules load the same reference."""
    state = load_file(picture.golden / "reference.safetensors")
    save_file(state, tmp_path / "plain.safetensors")
    renamed = {f"net.{k}": v for k, v in state.items()}
    save_file(renamed, tmp_path / "other.safetensors")
    moves = [
        {
            "rule": "rules.toml:1",
            "sources": [f"net.{k}"],
            "targets": [{"key": k, "shape": list(v.shape), "dtype": "F32", "register": 0}],
            "ops": [],
        }
        for k, v in state.items()
    ]
    (tmp_path / "moves.json").write_text(json.dumps({"schema": 1, "sources": {}, "moves": moves, "drops": []}))
    config = str(FIXTURES / "picture" / "config.json")
    ways = {
        "library": {"snapshot": str(tmp_path), "weights": ["plain.safetensors"]},
        "rules": {"snapshot": str(tmp_path), "weights": ["other.safetensors"], "moves": str(tmp_path / "moves.json")},
        "golden": {
            "snapshot": str(tmp_path),
            "weights": ["other.safetensors"],
            "golden_source": {"config": config, "files": [str(tmp_path / "plain.safetensors")]},
        },
    }
    expected = read_tensors(picture.golden / "outputs.000.safetensors")[0]["000"]
    for origin, changes in ways.items():
        result = run_worker("portwright.verify.capture", job(tmp_path / origin, [], **changes))
        assert result["weights"] == origin
        assert np.array_equal(read_tensors(tmp_path / origin / "outputs.000.safetensors")[0]["000"], expected)


def test_weights_that_do_not_cover_the_reference_are_an_error(picture: SimpleNamespace, tmp_path: Path) -> None:
    """A missing tensor is never left at its random start, and pickles are never read."""
    state = load_file(picture.golden / "reference.safetensors")
    save_file({k: v for k, v in state.items() if k != "up.bias"}, tmp_path / "short.safetensors")
    with pytest.raises(PortError, match="does not load from these files") as error:
        changes = {"snapshot": str(tmp_path)}
        run_worker("portwright.verify.capture", job(tmp_path / "g", ["short.safetensors"], **changes))
    assert error.value.code == ExitCode.NOT_BUILT
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(PortError, match="not a safetensors file"):
        run_worker("portwright.verify.capture", job(tmp_path / "g", ["weights.bin"], snapshot=str(tmp_path)))
    assert not (tmp_path / "g").exists()


def test_a_message_says_how_many_how_far_and_where() -> None:
    """A difference is described like torch.testing's: count, greatest, index, both values, and what is not finite."""
    b = np.ones((2, 3), np.float32)
    a = b.copy()
    a[1, 2] = 1.5
    assert "mismatched elements: 1 / 6 (16.7%)" in describe(a, b, 1e-6)
    assert "greatest absolute difference: 0.5 at (1, 2) (1.5 against 1)" in describe(a, b, 1e-6)
    a[0, 1] = np.nan
    assert "1 elements are not finite, the first at (0, 1)" in describe(a, b, 1e-6)
    assert describe(a[:1], b, 1e-6) == "shape (1, 3) where the reference has (2, 3)"


def test_a_large_channel_hides_nothing() -> None:
    """An error in small channels beside one outlier channel shows in the scaled difference although not in L2."""
    rng = np.random.default_rng(0)
    b = rng.standard_normal((64, 32)).astype(np.float32)
    b[:, 0] *= 1e6
    a = b.copy()
    a[:, 5] *= 1.01
    found = distance(a, b)
    assert found.rel_l2 < 1e-6
    assert found.scaled_max > 1e-3


def test_kinds_do_not_mix() -> None:
    """Integers and booleans are equal or incomparable, and masks' lowest numbers do not drown the rest."""
    ids = np.arange(4)
    assert distance(ids, ids).rel_l2 == 0
    assert distance(ids, ids + 1).rel_l2 > 1e90
    assert distance(ids.astype(np.float32), ids).rel_l2 > 1e90
    low = np.finfo(np.float32).min
    b = np.array([low, 1.0, -np.inf, np.nan], np.float32)
    assert distance(b, b).rel_l2 == 0
    assert distance(np.array([low, 1.1, -np.inf, np.nan], np.float32), b).rel_l2 == pytest.approx(0.1, rel=1e-3)
    assert distance(np.array([low, 1.0, np.inf, np.nan], np.float32), b).rel_l2 > 1e90
