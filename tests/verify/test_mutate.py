"""The verifier is verified: bugs are planted, and each must be caught and blamed on its own place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from portwright.verify.checks import __file__ as checks_file
from portwright.workers import run_worker
from verifylab import make_moves, make_port

# Mutants that change nothing here, each with the reason; everything else must be caught.
EQUIVALENT = {
    "float32": {
        "mask_1e9": "float32 holds -1e9, and the soft cap keeps scores far above it",
        "fp32_leak": "the port is float32 already",
    },
    "bfloat16": {
        "mask_1e9": "bfloat16 has float32's range",
        "through_bfloat16": "the weights are bfloat16 already",
    },
    "float16": {"stored_float16": "the weights are float16 already"},
}


def plant_all(made: SimpleNamespace, **changes: str) -> list[dict[str, Any]]:
    job = {"port": str(made.port), "golden": str(made.golden), "out": "", **changes}
    return list(run_worker("portwright.verify.mutate", job, mlx=True)["outcomes"])


def assert_caught(outcomes: list[dict[str, Any]], equivalent: dict[str, str], at_least: int) -> None:
    missed = [o["mutant"] for o in outcomes if not o["caught"] and o["mutant"] not in equivalent]
    misplaced = [(o["mutant"], o["where"], o["blamed"]) for o in outcomes if o["caught"] and not o["right"]]
    assert missed == []
    assert misplaced == []
    assert sum(o["caught"] for o in outcomes) >= at_least


@pytest.fixture(scope="session")
def text_outcomes(text: SimpleNamespace) -> list[dict[str, Any]]:
    return plant_all(text)


@pytest.fixture(scope="session")
def picture_outcomes(picture: SimpleNamespace) -> list[dict[str, Any]]:
    return plant_all(picture)


def test_every_bug_in_a_text_encoder_is_caught_in_its_place(text_outcomes: list[dict[str, Any]]) -> None:
    """Rotary, norm, attention, mask, window, activation and weight bugs are caught and blamed on their module."""
    assert_caught(text_outcomes, EQUIVALENT["float32"], at_least=36)


def test_every_bug_in_a_denoiser_is_caught_in_its_place(picture_outcomes: list[dict[str, Any]]) -> None:
    """Layout, time step, group norm, slope and weight bugs are caught and blamed on their module."""
    assert_caught(picture_outcomes, {}, at_least=18)


def test_each_check_catches_something(
    text_outcomes: list[dict[str, Any]], picture_outcomes: list[dict[str, Any]]
) -> None:
    """No check is idle: every one fails for some planted bug; 16-bit, quantized, text checks have their own."""
    elsewhere = {"native", "quantization", "speed", "greedy", "modules", "ledger", "__init__"}
    names = {p.stem for p in Path(checks_file).parent.glob("*.py")} - elsewhere
    caught = {check for o in (*text_outcomes, *picture_outcomes) for check in o["by"]}
    assert names - caught == set()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_bugs_of_16_bit_ports_are_caught(dtype: str, text: SimpleNamespace, tmp_path: Path) -> None:
    """The code of a 16-bit port is judged in float32; a float32 leak and a mask that overflows are caught as stored."""
    made = SimpleNamespace(golden=text.golden, port=make_port("text", text.golden, tmp_path / "port", dtype))
    moves = make_moves(text.golden, made.port, tmp_path / "moves.json")
    outcomes = plant_all(made, dtype=dtype, moves=str(moves), snapshot=str(text.golden))
    assert_caught(outcomes, EQUIVALENT[dtype], at_least=36)
    caught = {o["mutant"]: o["by"] for o in outcomes}
    assert "dtype" in caught["fp32_leak"]
    assert dtype == "bfloat16" or caught["mask_1e9"] == ["elements", "native"]
