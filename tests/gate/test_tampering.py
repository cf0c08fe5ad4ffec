"""Every way to tamper with a port's proof is blocked, and each message is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from portrepo import PortRepo

E, M, L = "port.evidence.json", "port.manifest.json", "port.lock"
CHECK = "model/isolate/layer.0"
OTHER = "sha256:" + "1" * 64
DIGEST = "sha256:111111111111"
SEAL = "seal: it was edited: its seal is of another content"
REBUILD = "doit port:minilm, then git add port.* ported"


def entry(**change: Any) -> Callable[[Any], object]:
    """An edit of one check's figures in the evidence."""
    return lambda body: body["runs"]["cpu"]["checks"][CHECK].update(change)


def demand(**change: Any) -> Callable[[Any], object]:
    """An edit of what the manifest demands of one check."""
    return lambda body: body["checks"][CHECK].update(change)


def drop_from_evidence(body: Any) -> None:
    del body["runs"]["cpu"]["checks"][CHECK]


def drop_from_manifest(body: Any) -> None:
    del body["checks"][CHECK]


def one_figure(port: PortRepo) -> None:
    port.edit(E, entry(value="1.0e-07"))


def one_figure_sealed_and_failing(port: PortRepo) -> None:
    port.edit(E, entry(value="9.9e-04"), reseal=True)


def headroom_in_evidence(port: PortRepo) -> None:
    port.edit(E, entry(headroom=64), reseal=True)


def headroom_in_manifest(port: PortRepo) -> None:
    port.edit(M, demand(headroom=64))


def headroom_in_manifest_sealed(port: PortRepo) -> None:
    port.edit(M, demand(headroom=64), reseal=True)
    port.rebind()


def metric_that_demands_nothing(port: PortRepo) -> None:
    port.edit(M, demand(metric="seconds", rule="recorded", headroom=16), reseal=True)
    port.edit(E, entry(metric="seconds", value="9.9e+01"))
    port.rebind()


def figure_that_is_no_number(port: PortRepo) -> None:
    port.edit(E, entry(value="NaN"), reseal=True)


def verdict_written_down(port: PortRepo) -> None:
    port.edit(E, entry(passed=True), reseal=True)


def digest_in_evidence(port: PortRepo) -> None:
    port.edit(E, lambda body: body["inputs"].update({"model.py": OTHER}), reseal=True)


def digest_in_both_sealed(port: PortRepo) -> None:
    port.edit(M, lambda body: body["inputs"].update({"model.py": OTHER}), reseal=True)
    port.edit(E, lambda body: body["inputs"].update({"model.py": OTHER}))
    port.rebind()


def weights_of_another_build_sealed(port: PortRepo) -> None:
    port.write("ported/model.safetensors", "weights of this build")
    for name in (M, E):
        port.edit(name, lambda body: body["inputs"]["weights"].update({"model.safetensors": OTHER}), reseal=True)
    port.rebind()


def check_out_of_manifest(port: PortRepo) -> None:
    port.edit(M, drop_from_manifest)


def check_out_of_evidence(port: PortRepo) -> None:
    port.edit(E, drop_from_evidence)


def check_out_of_both_sealed(port: PortRepo) -> None:
    port.edit(M, drop_from_manifest, reseal=True)
    port.edit(E, drop_from_evidence)
    port.rebind()


def check_out_of_the_lock_s_facts(port: PortRepo) -> None:
    port.edit(L, lambda body: body["components"]["model"]["facts"].update(modules=["embed", "layer.1"]))


def check_called_not_run(port: PortRepo) -> None:
    def move(body: Any) -> None:
        drop_from_evidence(body)
        body["runs"]["cpu"]["not_run"].append({"check": CHECK, "why": "too slow"})

    port.edit(E, move, reseal=True)


def lock_deleted(port: PortRepo) -> None:
    (port.path / L).unlink()


def component_renamed_in_port_toml(port: PortRepo) -> None:
    port.write("port.toml", port.read("port.toml").replace("components.model", "components.encoder"))


def component_renamed_in_lock(port: PortRepo) -> None:
    port.edit(L, lambda body: body["components"].update(encoder=body["components"].pop("model")))


def component_renamed_everywhere(port: PortRepo) -> None:
    component_renamed_in_port_toml(port)
    component_renamed_in_lock(port)


def port_renamed(port: PortRepo) -> None:
    port.write("port.toml", port.read("port.toml").replace('"minilm"', '"maxilm"'))


def every_module_exempt(port: PortRepo) -> None:
    port.add_port(facts={"exempt": {"layer.0": "too hard"}})


def hole_struck_out(port: PortRepo) -> None:
    port.add_port(portmap_holes=[{"where": "Tiny.forward", "reason": "einsum over a list"}])


MADE_ANEW = "it was measured for another port.manifest.json"
TABLE: dict[Callable[[PortRepo], None], list[str]] = {
    one_figure: [f"{E}: {SEAL} (runs: cpu: checks: {CHECK}: value was '2.1e-07' and is '1.0e-07')"],
    one_figure_sealed_and_failing: [f"{E}: cpu: {CHECK}: it fails: rel_l2 9.9e-04 > 16 x 1.1e-07 = 1.8e-06"],
    headroom_in_evidence: [f"{E}: cpu: {CHECK}: headroom is 64 here and 16 in the manifest"],
    headroom_in_manifest: [
        f"{M}: {SEAL} (checks: {CHECK}: headroom was 16 and is 64)",
        f"{E}: manifest: {MADE_ANEW}",
        f"{E}: cpu: {CHECK}: headroom is 16 here and 64 in the manifest",
    ],
    headroom_in_manifest_sealed: [f"{E}: cpu: {CHECK}: headroom is 16 here and 64 in the manifest"],
    metric_that_demands_nothing: [
        f"{E}: cpu: {CHECK}: loosened is '×16' here and absent in the manifest",
        f"{E}: cpu: {CHECK}: the metric 'seconds' demands nothing, and this check must",
    ],
    digest_in_evidence: [f"{E}: inputs: model.py: {DIGEST} here and sha256:bcd51628793a in the manifest"],
    digest_in_both_sealed: [
        f"ported/model.py: it changed after it was measured ({DIGEST} was measured, sha256:bcd51628793a is here)"
    ],
    weights_of_another_build_sealed: [
        f"ported/model.safetensors: these weights are of another build ({DIGEST} was measured, "
        "sha256:189a1308a8cd is here)"
    ],
    check_out_of_manifest: [
        f"{M}: {SEAL} (checks: {CHECK} was present and is absent)",
        f"{E}: manifest: {MADE_ANEW}",
        f"{M}: {CHECK}: port.lock demands this check, and the manifest does not list it",
        f"{E}: cpu: {CHECK}: the manifest does not list this check",
    ],
    check_out_of_evidence: [
        f"{E}: {SEAL} (runs: cpu: checks: {CHECK} was present and is absent)",
        f"{E}: cpu: {CHECK}: the manifest lists this check, and the run does not hold it",
    ],
    check_out_of_both_sealed: [f"{M}: {CHECK}: port.lock demands this check, and the manifest does not list it"],
    check_out_of_the_lock_s_facts: [
        f"{L}: it changed after it was measured (sha256:98b19a51c79a was measured, sha256:c3f0f9ff5858 is here)",
        f"{M}: {CHECK}: port.lock does not know this check",
    ],
    check_called_not_run: [f"{E}: cpu: {CHECK}: it was not run, and that is no pass: too slow"],
    lock_deleted: [f"{L}: it is missing from the index"],
    component_renamed_in_port_toml: [
        f"{L}: components.encoder: port.toml has this component, and the lock does not",
        f"{L}: components.model: port.toml does not have this component",
        "port.toml: it changed after it was measured (sha256:a64dd24cf3d2 was measured, sha256:399c126df4bc is here)",
    ],
    component_renamed_in_lock: [
        f"{L}: components.model: port.toml has this component, and the lock does not",
        f"{L}: components.encoder: port.toml does not have this component",
        f"{L}: it changed after it was measured (sha256:98b19a51c79a was measured, sha256:c91155b3fb02 is here)",
        f"{M}: components.encoder: port.lock has this component, and the manifest does not",
        f"{M}: components.model: port.lock does not have this component",
    ],
    component_renamed_everywhere: [
        f"{L}: it changed after it was measured (sha256:98b19a51c79a was measured, sha256:c91155b3fb02 is here)",
        "port.toml: it changed after it was measured (sha256:a64dd24cf3d2 was measured, sha256:399c126df4bc is here)",
        f"{M}: components.encoder: port.lock has this component, and the manifest does not",
        f"{M}: components.model: port.lock does not have this component",
    ],
    port_renamed: [
        "port.toml: it changed after it was measured (sha256:a64dd24cf3d2 was measured, sha256:10318edf9abc is here)",
        f"{M}: port: it is of the port 'minilm', and port.toml names 'maxilm'",
        f"{E}: port: it is of the port 'minilm', and port.toml names 'maxilm'",
    ],
    every_module_exempt: [f"{L}: components.model.facts.exempt: 1 of 3 modules skip isolation, and at most 10% may"],
    hole_struck_out: ["ported/model.py: Tiny.forward: a hole is open: einsum over a list"],
}


@pytest.mark.parametrize("tamper", TABLE, ids=lambda function: function.__name__)
def test_tampering_is_blocked_with_exactly_these_messages(port: PortRepo, tamper: Callable[[PortRepo], None]) -> None:
    """Each edit of the table gives the messages beside it, no more and no fewer."""
    port.commit("a good port")
    tamper(port)
    port.git("add", "-A")
    judgement = port.gate()
    assert judgement.blocked
    assert [line.split("\n")[0] for line in judgement.lines[:-1]] == TABLE[tamper]
    assert all("\n    fix: " in line and "doit port:" in line for line in judgement.lines[:-1])


@pytest.mark.parametrize(
    ("tamper", "place"), [(figure_that_is_no_number, "value: 'NaN'"), (verdict_written_down, "passed: ")]
)
def test_what_the_schema_forbids_is_named_with_its_line(
    port: PortRepo, tamper: Callable[[PortRepo], None], place: str
) -> None:
    """NaN is no figure, and no verdict may be written down: the schema refuses both, seal or no seal."""
    tamper(port)
    port.git("add", "-A")
    lines = port.read(E).splitlines()
    line = lines.index(f'        "{CHECK}": {{') + 6  # headroom, metric, noise and origin stand before it
    (found, total) = port.gate().lines
    assert found.startswith(f"{E}:{line}: runs.cpu.checks.{CHECK}.{place}")
    assert total == "1 problem in the index; 1 of 1 port blocked"


def test_evidence_swapped_between_two_ports_is_blocked(port: PortRepo) -> None:
    """Two good ports that hold each other's evidence are both blocked, by name and by digest."""
    port.add_port("b/", name="other")
    one, two = port.read(E), port.read(f"b/{E}")
    port.write(E, two)
    port.write(f"b/{E}", one)
    port.git("add", "-A")
    judgement = port.gate()
    found = [line.split("\n")[0] for line in judgement.lines]
    assert f"{E}: port: it is of the port 'other', and port.toml names 'minilm'" in found
    assert f"b/{E}: port: it is of the port 'minilm', and port.toml names 'other'" in found
    assert f"{E}: manifest: {MADE_ANEW}" in found
    assert found[-1] == "6 problems in the index; 2 of 2 ports blocked"


def test_whole_proof_swapped_between_two_ports_is_blocked(port: PortRepo) -> None:
    """Manifest and evidence moved together agree with each other, and not with the port that they now lie beside."""
    port.add_port("b/", name="other")
    for name in (M, E):
        one, two = port.read(name), port.read(f"b/{name}")
        port.write(name, two)
        port.write(f"b/{name}", one)
    port.git("add", "-A")
    assert port.gate().lines[-1] == "6 problems in the index; 2 of 2 ports blocked"


def test_a_forger_who_seals_again_gets_through(port: PortRepo) -> None:
    """The gate cannot know a figure that was forged and sealed: docs/gate.md says so, `--from-scratch` catches it."""
    port.edit(E, entry(value="1.0e-07"), reseal=True)
    port.git("add", "-A")
    assert not port.gate().blocked
