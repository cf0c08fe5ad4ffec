"""Manifest and evidence follow from lock, digests and figures, and are rewritten only when something changed."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from portrepo import PORT, D, PortRepo
from portwright import canonical, evidence, schema
from portwright.contribute.accept import accept
from portwright.demands import rule_of
from portwright.errors import PortError
from portwright.inputs import Inputs
from portwright.resources import data_dir
from portwright.verify import tolerance

E, M = "port.evidence.json", "port.manifest.json"
OURS = ["manifest", "evidence", "portmap", "acceptance"]


@pytest.mark.parametrize("name", OURS)
def test_schemas_are_sound_and_say_what_each_key_means(name: str) -> None:
    """Each schema is valid draft 2020-12 with title, description, and a description for every property."""
    body = schema.load_schema(name)
    jsonschema.Draft202012Validator.check_schema(body)
    assert body["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert body["title"]
    missing = [path for path, node in _properties(body, "") if not _described(node, body)]
    assert missing == []


def _properties(node: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(node, dict):
        return []
    own = [(f"{path}.{key}", value) for key, value in node.get("properties", {}).items()]
    return own + [item for key, value in node.items() for item in _properties(value, f"{path}.{key}")]


def _described(node: Any, root: Any) -> bool:
    if "description" in node:
        return True
    reference = node.get("$ref", "").split("/")
    return len(reference) == 3 and "description" in root[reference[1]][reference[2]]


def test_written_files_are_canonical_sealed_and_fit_their_schemas(port: PortRepo) -> None:
    """What `prove` writes reads back canonical, carries its seal, and stores no verdict."""
    for name, kind in ((M, "manifest"), (E, "evidence")):
        text = port.read(name)
        body = json.loads(text)
        assert canonical.dumps(body) == text
        assert body["seal"] == canonical.seal(body)
        assert schema.check(body, kind, name) == []
        assert "passed" not in text


def test_evidence_has_the_form_that_everything_hangs_on(port: PortRepo) -> None:
    """Keys and figures are those of the design: two-digit strings, one run for each device."""
    body = port.json(E)
    assert set(body) == {"schema", "port", "seal", "manifest", "inputs", "runs"}
    assert set(body["inputs"]) == {"lock", "plan", "skill", "model.py", ".base/model.py", "config.json",
                                   "portmap.json", "golden", "weights"}  # fmt: skip
    assert body["runs"]["cpu"]["checks"]["model/isolate/layer.0"] == {
        "metric": "rel_l2", "value": "2.1e-07", "noise": "1.1e-07", "headroom": 16, "origin": "fp64",
    }  # fmt: skip
    assert body["manifest"] == canonical.sha256_text(port.read(M))


def test_manifest_lists_each_check_with_what_it_demands(port: PortRepo) -> None:
    """Metric, rule, headroom and origin stand beside each check, and the Skill and facts that they follow from."""
    body = port.json(M)
    assert list(body["checks"]) == evidence.required_checks(port.json("port.lock"))
    assert body["checks"]["model/isolate/layer.0"] == {
        "metric": "rel_l2", "rule": "at most headroom × noise", "headroom": 16, "origin": "fp64",
    }  # fmt: skip
    assert body["checks"]["model/coverage/keys"]["rule"] == "none allowed"
    assert body["skill"]["name"] == "tiny"
    assert body["components"]["model"]["class"] == "tinymodels:Tiny"


def test_required_checks_follow_from_the_facts() -> None:
    """A module, a trait, an exemption or a quantization changes the list; nothing else is asked."""
    facts: dict[str, Any] = {"modules": ["a", "b"], "exempt": {"b": "why"}, "traits": ["padding"]}
    lock = {"components": {"unet": {"facts": facts}, "vae": {"facts": {"modules": ["c"]}}}}
    checks = evidence.required_checks(lock)
    assert {"unet/isolate/a", "unet/padding/invariance", "vae/isolate/c"} <= set(checks)
    assert not {"unet/isolate/b", "vae/padding/invariance", "unet/quantization/kl"} & set(checks)
    facts["quantize"] = {"bits": 4, "budget": {"kl": 0.05}}
    assert "unet/quantization/kl" in evidence.required_checks(lock)
    assert checks == sorted(checks)


def stamp(port: PortRepo) -> tuple[str, str]:
    return port.read(M), port.read(E)


def test_other_last_digits_do_not_rewrite_the_files(port: PortRepo) -> None:
    """A second machine's figures with the same verdicts leave both files alone, unless a refresh is asked for."""
    before = stamp(port)
    other = {"isolate/layer.0": {"value": 3.4e-7, "noise": 1.3e-7}, "speed/forward": {"value": 99.0}}
    assert not port.prove(changes=other).changed
    assert stamp(port) == before
    assert port.prove(changes=other, refresh=True).changed
    assert port.json(E)["runs"]["cpu"]["checks"]["model/isolate/layer.0"]["value"] == "3.4e-07"


def test_a_changed_verdict_rewrites_the_evidence(port: PortRepo) -> None:
    """A check that now fails, passes, or did not run is a change."""
    assert port.prove(changes={"isolate/layer.0": {"value": 1.0}}).changed
    assert not port.prove(changes={"isolate/layer.0": {"value": 2.0}}).changed
    assert port.prove().changed
    assert port.prove(changes={"long/positions": None}).changed
    assert {"check": "model/long/positions", "why": "the probe needs torch"} in port.json(E)["runs"]["cpu"]["not_run"]


def test_a_changed_input_rewrites_both_files(port: PortRepo) -> None:
    """The digests of what was measured are renewed even where every figure stays."""
    port.write("ported/model.py", "# another\n")
    proof = port.prove()
    assert proof.changed
    assert proof.evidence["inputs"]["model.py"] == canonical.sha256_text("# another\n")
    assert proof.manifest["inputs"] == proof.evidence["inputs"]


def test_damaged_or_edited_files_are_made_anew(port: PortRepo) -> None:
    """Evidence that was edited, truncated or is of another format counts as absent."""
    good = stamp(port)
    for name in (E, M):
        for text in ("{}", "", port.read(name)[:-100], port.read(name).replace("2.1e-07", "1.0e-07", 1), "[]"):
            port.write(name, text)
            port.prove()
            assert stamp(port) == good


def test_a_second_device_adds_its_run_and_keeps_the_first(port: PortRepo) -> None:
    """The Mac's run stands beside the CPU's; the manifest stays; a figure of the first is not touched."""
    manifest, first = port.read(M), port.json(E)["runs"]["cpu"]
    proof = port.prove(device="metal", changes={"isolate/layer.0": {"value": 3e-7}, "bijection/elements": None})
    assert sorted(proof.evidence["runs"]) == ["cpu", "metal"]
    assert proof.evidence["runs"]["cpu"] == first
    assert evidence.devices_not_run(proof.evidence) == []
    del manifest


def test_another_device_s_run_goes_when_the_code_changes(port: PortRepo) -> None:
    """Figures of another model.py say nothing about this one."""
    port.prove(device="metal")
    port.write("ported/model.py", "# another\n")
    assert sorted(port.prove().evidence["runs"]) == ["cpu"]


def test_another_device_s_run_is_judged_by_the_new_headroom(port: PortRepo) -> None:
    """A headroom changes verdicts and no figure, so no device has to measure again for it."""
    port.prove(device="metal")
    proof = port.prove(headroom=32)
    for device in ("cpu", "metal"):
        assert proof.evidence["runs"][device]["checks"]["model/isolate/layer.0"]["headroom"] == 32
    port.git("add", "-A")
    assert (
        f"cpu: {port.distances()} checks loosened ×2; metal: {port.distances()} checks loosened ×2"
        in port.gate().lines[0]
    )


def test_verdicts_are_computed_from_the_figures_alone(port: PortRepo) -> None:
    """The same judgement comes out of the two files as the tool gave when it wrote them."""
    proof = port.prove(changes={"isolate/layer.0": {"value": 1.0}, "long/positions": None})
    rows = {row.check: row for row in evidence.judge(port.json(M), port.json(E))}
    assert not rows["model/isolate/layer.0"].passed
    assert rows["model/long/positions"].why == "the probe needs torch"
    assert rows["model/isolate/layer.1"].passed
    assert [row.check for row in proof.judged if not row.passed] == [
        "model/isolate/layer.0", "model/long/positions",
    ]  # fmt: skip


def test_measurements_of_two_devices_are_refused(port: PortRepo) -> None:
    """One run has one device."""
    lock = port.json("port.lock")
    mixed = [*port.measurements(), *port.measurements(device="metal")]
    bound = Inputs(D, D, D, {}, {"model": D}, {"model.safetensors": D})
    with pytest.raises(PortError, match="one run has one device"):
        evidence.prove(port.path, "minilm", lock, bound, mixed)


def test_missing_outputs_are_all_named(port: PortRepo) -> None:
    """Inputs that are not there are told together."""
    (port.path / "ported/model.py").unlink()
    (port.path / "ported/config.json").unlink()
    with pytest.raises(PortError) as caught:
        port.prove()
    assert [Path(problem.where).name for problem in caught.value.problems] == ["config.json", "model.py"]


def test_every_rule_of_the_schema_is_one_that_is_written() -> None:
    """The manifest's rules and the metrics that lead to them stay in step."""
    allowed = schema.load_schema("manifest")["properties"]["checks"]["additionalProperties"]["properties"]["rule"]
    written = {rule_of({"metric": metric, "origin": "fp64"}) for metric in tolerance.METRICS}
    assert written | {"not run"} == set(allowed["enum"])


def test_figure_pattern_is_the_same_in_code_and_schema() -> None:
    """The schema takes exactly the figures that the code writes, without a sign."""
    pattern = schema.load_schema("evidence")["$defs"]["figure"]["pattern"]
    assert f"^-?{pattern.removeprefix('^').removesuffix('$')}$" == f"^{canonical.FIGURE.pattern}$"
    for text in ("NaN", "Infinity", "-1.0e-07", "1e-07", "1.0e-7", "10.0e-07", "1.0e+999", "1.0e-07\n", ""):
        found = copy.deepcopy({"$ref": "#/$defs/figure", "$defs": schema.load_schema("evidence")["$defs"]})
        assert not jsonschema.Draft202012Validator(found).is_valid(text), text


@pytest.mark.parametrize("kind", ["manifest", "evidence", "portmap", "acceptance"])
def test_schemas_are_packaged(kind: str) -> None:
    """A schema lies where the package finds it."""
    assert (data_dir("schemas") / f"{kind}.schema.json").is_file()


class Terminal(io.StringIO):
    """Text that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_person_accepts_by_typing_the_port_s_name(port: PortRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is bound to the evidence that was shown, and names the person as git knows them."""
    said = Terminal()
    file = accept(port.path, said, Terminal("minilm\n"))
    record = json.loads(file.read_text(encoding="utf-8"))
    assert schema.check(record, "acceptance", file.name) == []
    assert record["by"] == "Ada <ada@example.org>"
    assert record["evidence"] == canonical.sha256_text(port.read(E))
    assert re.search(r"closest to its tolerance: model/\S+: rel_l2 2\.1e-07 <= 16 x 1\.1e-07", said.getvalue())
    assert "metal: not run" in said.getvalue()


@pytest.mark.parametrize(
    ("terminal", "answers", "message"),
    [
        (Terminal(), Terminal("yes\n"), "not accepted: that was not the port's name"),
        (Terminal(), io.StringIO("minilm\n"), "there is no terminal to ask on"),
        (io.StringIO(), Terminal("minilm\n"), "there is no terminal to ask on"),
    ],
)
def test_no_acceptance_without_a_person(port: PortRepo, terminal: Any, answers: Any, message: str) -> None:
    """A pipe, a script or another word gives no record."""
    with pytest.raises(PortError, match=message):
        accept(port.path, terminal, answers)
    assert not (port.path / "port.acceptance.json").exists()


@pytest.mark.parametrize("change", [lambda body: body.update(port="other"), lambda body: body.update(extra=1)])
def test_edited_evidence_cannot_be_accepted(port: PortRepo, change: Any) -> None:
    """A person is never shown figures under a broken seal, or a file of another form."""
    port.edit(E, change)
    with pytest.raises(PortError, match=r"port\.evidence\.json"):
        accept(port.path, Terminal(), Terminal("minilm\n"))


def test_failing_evidence_cannot_be_accepted(port: PortRepo) -> None:
    """A person may not wave a failing check through."""
    port.prove(changes={"isolate/layer.0": {"value": 1.0}})
    with pytest.raises(PortError, match=r"cpu: model/isolate/layer\.0: it does not pass"):
        accept(port.path, Terminal(), Terminal("minilm\n"))


def test_negative_distance_is_a_bug_and_rounding_below_zero_is_zero(port: PortRepo) -> None:
    """A divergence of -1e-9 is a sum of rounding errors; -1 cannot be."""
    proof = port.prove(changes={"isolate/layer.0": {"value": -1e-9}}, refresh=True)
    assert proof.evidence["runs"]["cpu"]["checks"]["model/isolate/layer.0"]["value"] == "0.0e+00"
    with pytest.raises(PortError, match=r"model/isolate/layer\.0: measured -1.0: a distance cannot be negative"):
        port.prove(changes={"isolate/layer.0": {"value": -1.0}})


def test_golden_of_another_machine_rewrites_nothing(port: PortRepo) -> None:
    """Another processor's reference answers in other last bits; while every verdict stays, so do both files."""
    before = stamp(port)
    other = {"isolate/layer.0": {"value": 3.4e-7}}
    assert not port.prove(golden="sha256:" + "2" * 64, changes=other).changed
    assert stamp(port) == before
    failing = port.prove(golden="sha256:" + "2" * 64, changes={"isolate/layer.0": {"value": 1.0}})
    assert failing.evidence["inputs"]["golden"] == "sha256:" + "2" * 64
    assert failing.manifest["inputs"]["golden"] == "sha256:" + "2" * 64


def test_another_device_is_never_bound_to_a_golden_that_it_did_not_see(port: PortRepo) -> None:
    """A first run on metal against a golden of its own does not claim the CPU's."""
    proof = port.prove(golden="sha256:" + "2" * 64, device="metal")
    assert sorted(proof.evidence["runs"]) == ["metal"]
    assert proof.evidence["inputs"]["golden"] == "sha256:" + "2" * 64


def test_refresh_renews_one_device_and_keeps_the_other(port: PortRepo) -> None:
    """A refresh of the CPU's figures leaves metal's alone."""
    port.prove(device="metal")
    metal = port.json(E)["runs"]["metal"]
    proof = port.prove(changes={"isolate/layer.0": {"value": 3.4e-7}}, refresh=True)
    assert proof.evidence["runs"]["metal"] == metal
    assert proof.evidence["runs"]["cpu"]["checks"]["model/isolate/layer.0"]["value"] == "3.4e-07"


def test_a_new_budget_judges_the_figures_of_every_device(repo: PortRepo) -> None:
    """A budget is port.toml's: changing it renews the limit beside the figures, and measures nothing again."""
    quantize = "[quantize]\nbits = 4\nbudget = {{ kl = {kl} }}\n"
    repo.add_port(toml=PORT.format(name="minilm", version="1.0") + quantize.format(kl=0.05))
    repo.prove(device="metal")
    value = repo.json(E)["runs"]["metal"]["checks"]["model/quantization/kl"]["value"]
    repo.write("port.toml", PORT.format(name="minilm", version="1.0") + quantize.format(kl=0.08))
    repo.lock()
    runs = repo.prove().evidence["runs"]
    for device in ("cpu", "metal"):
        assert runs[device]["checks"]["model/quantization/kl"]["noise"] == "8.0e-02"
    assert runs["metal"]["checks"]["model/quantization/kl"]["value"] == value
    repo.git("add", "-A")
    assert not repo.gate().blocked
