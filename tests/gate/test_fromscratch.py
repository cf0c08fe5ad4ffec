"""A fresh measurement catches the forger whom no seal can: a figure that a rerun does not give."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from portrepo import PortRepo
from portwright.gate.fromscratch import compare, not_compared

CHECK = "model/isolate/layer.0"


def said(committed: Any, fresh: Any) -> list[str]:
    return [f"{problem.where}: {problem.problem}" for problem in compare(committed, fresh)]


@pytest.fixture
def fresh(port: PortRepo) -> Any:
    return port.json("port.evidence.json")


def test_an_honest_rerun_agrees(port: PortRepo, fresh: Any) -> None:
    """Other last digits, another speed and another golden of another machine are no disagreement."""
    committed = copy.deepcopy(fresh)
    committed["runs"]["cpu"]["env"]["cpu"] = "another ×8"
    committed["inputs"]["golden"] = "sha256:" + "0" * 64
    for check, entry in committed["runs"]["cpu"]["checks"].items():
        if entry["metric"] == "rel_l2":
            entry.update(value="1.2e-07", noise="1.9e-07")
        if "speed" in check:
            entry.update(value="9.0e+00")
    assert said(committed, fresh) == []


@pytest.mark.parametrize(
    ("true", "forged", "message"),
    [
        (
            {"value": "9.9e-04"},
            {"value": "2.1e-07"},
            "measured anew it fails (rel_l2 9.9e-04 > 16 x 1.1e-07), "
            "and by the evidence not (rel_l2 2.1e-07 <= 16 x 1.1e-07)",
        ),
        (
            {"value": "1.6e-06"},
            {"value": "2.1e-07"},
            "its value is 2.1e-07 in the evidence and 1.6e-06 measured anew: "
            "no rerun on this machine gives that (within ×1.5)",
        ),
        (
            {},
            {"noise": "9.0e-06"},
            "its noise is 9.0e-06 in the evidence and 1.1e-07 measured anew: "
            "no rerun on this machine gives that (within ×1.5)",
        ),
        ({}, {"headroom": 64}, "its headroom is 64 in the evidence and 16 measured anew"),
    ],
)
def test_a_forged_figure_is_named(fresh: Any, true: Any, forged: Any, message: str) -> None:
    """A better value, a wider noise or a raised headroom is named with both figures."""
    committed = copy.deepcopy(fresh)
    fresh["runs"]["cpu"]["checks"][CHECK].update(true)
    committed["runs"]["cpu"]["checks"][CHECK].update(forged)
    assert said(committed, fresh) == [f"port.evidence.json: cpu: {CHECK}: {message}"]


@pytest.mark.parametrize(
    ("true", "forged", "same_machine", "caught"),
    [
        ("2.2e-07", "1.0e-08", True, True),
        ("2.2e-07", "1.2e-07", True, True),
        ("2.2e-07", "2.0e-07", True, False),
        ("1.0e-09", "0.0e+00", True, False),
        ("2.2e-07", "1.0e-08", False, False),
        ("8.8e-07", "1.0e-08", False, True),
    ],
)
def test_figures_of_the_same_machine_must_agree_closely(
    fresh: Any, true: str, forged: str, same_machine: bool, caught: bool
) -> None:
    """The same processor and libraries give the same figures again; elsewhere last digits and what is below the
    noise may differ."""
    committed = copy.deepcopy(fresh)
    fresh["runs"]["cpu"]["checks"][CHECK]["value"] = true
    committed["runs"]["cpu"]["checks"][CHECK]["value"] = forged
    if not same_machine:
        committed["runs"]["cpu"]["env"]["cpu"] = "another ×8"
    assert bool(said(committed, fresh)) is caught


def test_a_forged_and_sealed_port_passes_the_gate_and_not_the_rerun(port: PortRepo) -> None:
    """The gate lets a sealed forgery through, as docs/gate.md says; a rerun of the real figures does not."""
    port.prove(changes={"isolate/layer.0": {"value": 9.9e-4}})
    fresh = port.json("port.evidence.json")
    port.edit(
        "port.evidence.json",
        lambda body: body["runs"]["cpu"]["checks"][CHECK].update(value="2.1e-07"),
        reseal=True,
    )
    port.git("add", "-A")
    assert not port.gate().blocked
    assert len(said(port.json("port.evidence.json"), fresh)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda body: body["inputs"]["weights"].update({"model.safetensors": "sha256:" + "0" * 64}),
            "port.evidence.json: inputs: model.safetensors: the evidence is of sha256:000000000000, "
            "and building it anew gives sha256:dddddddddddd",
        ),
        (
            lambda body: body["runs"]["cpu"]["checks"].pop(CHECK),
            f"port.evidence.json: cpu: {CHECK}: it can be measured, and the evidence does not hold it",
        ),
        (
            lambda body: body["runs"].update(metal=body["runs"].pop("cpu")),
            "port.evidence.json: no device of the committed evidence was measured again",
        ),
        (
            lambda body: body["runs"]["cpu"]["checks"]["model/coverage/keys"].update(value="3.0e+00"),
            "port.evidence.json: cpu: model/coverage/keys: measured anew it passes (exact), "
            "and by the evidence not (3 mismatches, none allowed)",
        ),
    ],
)
def test_other_differences_are_named(fresh: Any, change: Callable[[Any], object], message: str) -> None:
    """Another input, a missing check, an unrepeatable device and a wrong count each have their message."""
    committed = copy.deepcopy(fresh)
    change(committed)
    assert said(committed, fresh) == [message]


def test_what_cannot_be_measured_again_is_no_agreement(port: PortRepo) -> None:
    """A check that the rerun could not do is a problem, and a device that is not here is named."""
    committed = port.json("port.evidence.json")
    committed["runs"]["metal"] = copy.deepcopy(committed["runs"]["cpu"])
    port.prove(changes={"isolate/layer.0": None})
    fresh = port.json("port.evidence.json")
    assert said(committed, fresh) == [
        f"port.evidence.json: cpu: {CHECK}: it could not be measured again: the probe needs torch"
    ]
    assert not_compared(committed, fresh) == ["metal"]
