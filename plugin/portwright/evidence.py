"""From raw measurements to port.manifest.json (what must hold) and port.evidence.json (what was measured).

Nothing here says "passed": whoever needs a verdict computes it from the figures (`judge`). A file is rewritten only
when an input, a check or a verdict changed, so that the last digits of another machine do not dirty the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import canonical, schema
from .demands import BUDGET, demand_of, facts_of, headroom_of, rule_of
from .errors import PortError, Problem
from .inputs import Inputs, folder_of
from .publish import publish_text
from .verify import battery, tolerance

_VERSION = 1
MANIFEST, EVIDENCE = "port.manifest.json", "port.evidence.json"
DEVICES = ("cpu", "metal")
_RECORDED = "speed"  # the one check that demands nothing, and may be left out


@dataclass(frozen=True)
class Judged:
    """One check on one device, with the verdict that its figures give; `entry` is None where it was not run."""

    device: str
    check: str
    entry: Mapping[str, Any] | None
    verdict: tolerance.Verdict | None
    loosened: float | None = None
    why: str = ""  # why it was not run; empty where the run does not know the check

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.passed


@dataclass(frozen=True)
class Proof:
    """The two files of a port, and whether either is new."""

    manifest: dict[str, Any]
    evidence: dict[str, Any]
    changed: bool
    judged: tuple[Judged, ...] = field(repr=False, default=())


def required_checks(lock: Mapping[str, Any]) -> list[str]:
    """List every check `<component>/<check>/<where>` that the facts in port.lock demand, sorted."""
    ids = []
    for name, component in lock["components"].items():
        facts = component["facts"]
        quantize = facts.get("quantize")
        settings = quantize or {}
        kept, budget = bool(settings.get("source")), settings.get("budget")
        checks = battery.check_ids(facts, quantized=bool(quantize), kept=kept, budget=budget)
        ids += [f"{name}/{check}" for check in checks]
    return sorted(ids)


def recorded_only(check: str) -> bool:
    """Tell whether a check demands nothing: its figures inform, and it may be not run."""
    return check.split("/")[1:2] == [_RECORDED]


def build_manifest(
    port: str,
    lock: Mapping[str, Any],
    inputs: Inputs,
    measurements: Sequence[Mapping[str, Any]],
    *,
    holes: Sequence[Mapping[str, Any]] = (),
    headroom: float | None = None,
) -> dict[str, Any]:
    """Build the list of what this port must pass; `headroom` is the Skill's own number, None for the built-in one.

    `measurements` are the raw figures of one device, one object for each component; `holes` those still open.
    """
    entries = _entries(measurements, headroom)
    return canonical.sealed(
        {
            "schema": _VERSION,
            "about": f"Written by `doit port:{port}`, never by hand: the gate refuses an edit.",
            "port": port,
            "inputs": inputs.to_json(),
            "skill": dict(lock.get("skill", {})),
            "components": {name: facts_of(component) for name, component in lock["components"].items()},
            "checks": {check: demand_of(entries.get(check)) for check in required_checks(lock)},
            "holes": [dict(hole) for hole in holes],
        }
    )


def build_evidence(
    port: str,
    manifest: Mapping[str, Any],
    measurements: Sequence[Mapping[str, Any]],
    *,
    headroom: float | None = None,
    previous: Mapping[str, Any] | None = None,
    refresh: bool = False,
) -> dict[str, Any]:
    """Build the evidence of one device's run, beside the other devices' runs that `previous` holds for the same inputs.

    The figures of `previous` stay where neither an input nor a verdict changed, unless `refresh`.
    """
    device = str(measurements[0]["device"])
    entries = _entries(measurements, headroom)
    reasons = {f"{m['component']}/{item['check']}": str(item["why"]) for m in measurements for item in m["not_run"]}
    for missing in manifest["checks"].keys() - entries.keys():
        reasons.setdefault(missing, "nothing measured it")
    run = {
        "env": dict(measurements[0]["env"]),
        "checks": entries,
        "not_run": [{"check": name, "why": why} for name, why in sorted(reasons.items()) if name not in entries],
    }
    runs = _kept_runs(manifest, entries, headroom, previous)
    if device not in runs or refresh or _says(runs[device]) != _says(run):
        runs[device] = run
    return canonical.sealed(
        {
            "schema": _VERSION,
            "port": port,
            "manifest": canonical.sha256_text(canonical.dumps(manifest)),
            "inputs": manifest["inputs"],
            "runs": runs,
        }
    )


def prove(
    directory: Path,
    port: str,
    lock: Mapping[str, Any],
    inputs: Inputs,
    measurements: Sequence[Mapping[str, Any]],
    *,
    holes: Sequence[Mapping[str, Any]] = (),
    headroom: float | None = None,
    refresh: bool = False,
) -> Proof:
    """Write both files beside port.toml if they changed, each by rename, and judge every check.

    Raises PortError if the measurements are of several devices; a damaged file of before counts as absent.
    """
    devices = {str(m["device"]) for m in measurements}
    if len(devices) != 1:
        raise PortError(Problem(EVIDENCE, f"one run has one device, these measurements have {sorted(devices)}"))
    previous = _previous(directory / EVIDENCE)
    for bound in _bindings(inputs, None if refresh else previous):
        manifest = build_manifest(port, lock, bound, measurements, holes=holes, headroom=headroom)
        evidence = build_evidence(port, manifest, measurements, headroom=headroom, previous=previous, refresh=refresh)
        if bound is inputs or (
            previous and evidence["inputs"] == previous["inputs"] and _same_runs(evidence, previous)
        ):
            break
    changed = [write_if_changed(directory / MANIFEST, manifest), write_if_changed(directory / EVIDENCE, evidence)]
    return Proof(manifest, evidence, any(changed), tuple(judge(manifest, evidence)))


def _bindings(inputs: Inputs, previous: Mapping[str, Any] | None) -> Iterator[Inputs]:
    """Give the inputs to bind the figures to: first those with the golden of before, where it is all that differs.

    The reference answers in other last bits on another machine. As long as every verdict stays, the evidence goes on to
    speak of the golden that its figures were measured against.
    """
    if previous is not None:
        names = {name: f"{folder_of(name, inputs.golden)}golden" for name in inputs.golden}
        golden = {name: str(previous["inputs"].get(key, "")) for name, key in names.items()}
        kept = replace(inputs, golden=golden)
        if golden != inputs.golden and kept.to_json() == previous["inputs"]:
            yield kept
    yield inputs


def _same_runs(evidence: Mapping[str, Any], previous: Mapping[str, Any]) -> bool:
    """Tell whether no run was replaced: the same figures, whatever headroom they are judged by today."""

    def figures(body: Mapping[str, Any]) -> Any:
        return {
            (device, check): entry["value"]
            for device, run in body["runs"].items()
            for check, entry in run["checks"].items()
        }

    return bool(figures(evidence) == figures(previous))


def judge(manifest: Mapping[str, Any], evidence: Mapping[str, Any]) -> Iterator[Judged]:
    """Recompute every verdict, for each device's run in order, from the figures alone."""
    for device, run in sorted(evidence["runs"].items()):
        reasons = {item["check"]: item["why"] for item in run["not_run"]}
        for check in sorted({*manifest["checks"], *run["checks"]}):
            entry = run["checks"].get(check)
            if entry is None:
                yield Judged(device, check, None, None, why=reasons.get(check, ""))
            else:
                yield Judged(device, check, entry, tolerance.verdict(entry), tolerance.loosened(entry))


def devices_not_run(evidence: Mapping[str, Any]) -> list[str]:
    """Name the devices that nobody has measured on, for the sentence "metal: not run"."""
    return [device for device in DEVICES if device not in evidence["runs"]]


def write_if_changed(path: Path, body: Mapping[str, Any]) -> bool:
    """Write canonical JSON by rename if the file says anything else, and tell whether it did."""
    text = canonical.dumps(body)
    if path.is_file() and path.read_bytes().replace(b"\r\n", b"\n") == text.encode():
        return False
    publish_text(path, text)
    return True


def _entries(measurements: Sequence[Mapping[str, Any]], headroom: float | None) -> dict[str, dict[str, Any]]:
    return {
        f"{measured['component']}/{check}": {
            "metric": raw["metric"],
            "value": _figure(f"{measured['component']}/{check}", float(raw["value"])),
            "noise": tolerance.figure(float(raw["noise"])),
            "headroom": headroom_of(raw, headroom),
            "origin": raw["origin"],
        }
        for measured in measurements
        for check, raw in measured["checks"].items()
    }


def _figure(check: str, value: float) -> str:
    """Write a measured value; a sum of rounding errors just below zero is zero, and a negative distance is a bug."""
    if value < -1e-6:
        raise PortError(Problem(check, f"measured {value}: a distance cannot be negative", "report this bug"))
    return tolerance.figure(0.0 if value < 0 else value)


def _kept_runs(
    manifest: Mapping[str, Any],
    entries: Mapping[str, Mapping[str, Any]],
    headroom: float | None,
    previous: Mapping[str, Any] | None,
) -> dict[str, dict[str, Any]]:
    """Give the runs of before on the same code, weights, golden and checks, with today's headroom and budgets."""
    if previous is None or _measured_on(previous["inputs"]) != _measured_on(manifest["inputs"]):
        return {}
    kept = {}
    for device, run in previous["runs"].items():
        if {*run["checks"], *(item["check"] for item in run["not_run"])} == set(manifest["checks"]):
            checks = {}
            for check, entry in run["checks"].items():
                budgeted = rule_of(entry) == BUDGET and check in entries
                noise = entries[check]["noise"] if budgeted else entry["noise"]
                checks[check] = {**entry, "noise": noise, "headroom": headroom_of(entry, headroom)}
            kept[device] = {**run, "checks": checks}
    return kept


def _measured_on(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give the inputs that a figure can depend on: lock, plan and Skill act on it only through what they made."""
    return {key: value for key, value in inputs.items() if key not in ("lock", "plan", "skill")}


def _says(run: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a run says apart from its last digits: each check with its demand and verdict, and what was not run."""
    judged = {c: (demand_of(entry), tolerance.verdict(entry).passed) for c, entry in run["checks"].items()}
    return {"checks": judged, "not_run": [item["check"] for item in run["not_run"]]}


def _previous(path: Path) -> dict[str, Any] | None:
    """Read the evidence of before; one that is damaged, edited or of another format counts as absent."""
    try:
        body = canonical.parse_object(path.read_bytes(), path.name)
    except (OSError, PortError):
        return None
    return None if schema.check(body, "evidence", path.name) or body["seal"] != canonical.seal(body) else body
