"""Hold manifest and evidence against port.lock and against each other, and recompute every verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import canonical
from ..demands import budgets, demand_of, facts_of
from ..errors import PortError
from ..evidence import EVIDENCE, MANIFEST, judge, recorded_only, required_checks
from ..verify import tolerance
from .reader import REBUILD, Reader

_Json = Mapping[str, Any]
_EDITS = 3  # differences that a message names


def check_proof(reader: Reader, port: str, lock: _Json, manifest: _Json, manifest_text: bytes, evidence: _Json) -> None:
    """Note everything in which the two files disagree with the lock, with each other, or with their seals."""
    for name, body in ((MANIFEST, manifest), (EVIDENCE, evidence)):
        if body["port"] != port:
            reader.report(name, f"it is of the port {body['port']!r}, and port.toml names {port!r}", place="port")
        if body["seal"] != canonical.seal(body):
            reader.report(
                name, f"it was edited: its seal is of another content{_edits(reader, name, body)}", place="seal"
            )
    if evidence["manifest"] != canonical.sha256_text(manifest_text):
        reader.report(EVIDENCE, f"it was measured for another {MANIFEST}", place="manifest")
    _check_manifest(reader, lock, manifest)
    _check_runs(reader, manifest, evidence)
    _check_budgets(reader, lock, evidence)
    _check_verdicts(reader, manifest, evidence)


def _check_manifest(reader: Reader, lock: _Json, manifest: _Json) -> None:
    both = lock["components"].keys() & manifest["components"].keys()  # a component that one lacks is told once
    required = [check for check in required_checks(lock) if check.split("/")[0] in both]
    listed = [check for check in manifest["checks"] if check.split("/")[0] in both]
    for check in _missing(required, listed):
        reader.report(MANIFEST, "port.lock demands this check, and the manifest does not list it", place=check)
    for check in _missing(listed, required):
        reader.report(MANIFEST, "port.lock does not know this check", place=check)
    for check in sorted(check for check in manifest["checks"] if check.split("/")[0] not in manifest["components"]):
        reader.report(MANIFEST, "its component is not listed", place=check)
    if manifest["skill"] != lock["skill"]:
        reader.report(MANIFEST, "it names another Skill, version or slice than port.lock", place="skill")
    facts = {name: facts_of(component) for name, component in lock["components"].items()}
    for name in _missing(facts, manifest["components"]):
        reader.report(MANIFEST, "port.lock has this component, and the manifest does not", place=f"components.{name}")
    for name in _missing(manifest["components"], facts):
        reader.report(MANIFEST, "port.lock does not have this component", place=f"components.{name}")
    for name in sorted(facts.keys() & manifest["components"].keys()):
        for key, value in facts[name].items():
            if manifest["components"][name][key] != value:
                reader.report(MANIFEST, f"it differs from {key!r} in port.lock", place=f"components.{name}.{key}")
    for name, component in sorted(lock["components"].items()):
        modules, exempt = set(component["facts"].get("modules", ())), set(component["facts"].get("exempt", {}))
        most = tolerance.limits().uncovered_share
        if len(modules & exempt) > most * len(modules):
            said = f"{len(modules & exempt)} of {len(modules)} modules skip isolation, and at most {most:.0%} may"
            reader.report("port.lock", said, place=f"components.{name}.facts.exempt")


def _check_runs(reader: Reader, manifest: _Json, evidence: _Json) -> None:
    for device, run in sorted(evidence["runs"].items()):
        skipped = [item["check"] for item in run["not_run"]]
        for check in _missing(manifest["checks"], [*run["checks"], *skipped]):
            reader.report(
                EVIDENCE, "the manifest lists this check, and the run does not hold it", place=f"{device}: {check}"
            )
        for check in _missing([*run["checks"], *skipped], manifest["checks"]):
            reader.report(EVIDENCE, "the manifest does not list this check", place=f"{device}: {check}")
        for check in sorted(run["checks"].keys() & set(skipped)):
            reader.report(EVIDENCE, "it is listed both as measured and as not run", place=f"{device}: {check}")
        for check in sorted(run["checks"].keys() & manifest["checks"].keys()):
            measured, demanded = demand_of(run["checks"][check]), manifest["checks"][check]
            keys = [] if demanded["rule"] == "not run" else ["metric", "rule", "headroom", "origin"]
            keys += ["loosened"] if measured["headroom"] == demanded.get("headroom") else []
            for key in keys:
                if measured.get(key) != demanded.get(key):
                    said = f"{key} is {_say(measured.get(key))} here and {_say(demanded.get(key))} in the manifest"
                    reader.report(EVIDENCE, said, place=f"{device}: {check}")
            if (measured["rule"] == "recorded") != recorded_only(check):
                demands = (
                    "something, and this check only records" if recorded_only(check) else "nothing, and this check must"
                )
                said = f"the metric {measured['metric']!r} demands {demands}"
                reader.report(EVIDENCE, said, place=f"{device}: {check}")


def _check_budgets(reader: Reader, lock: _Json, evidence: _Json) -> None:
    """Note a budget in the evidence that is not port.toml's: it is the one tolerance that no noise explains."""
    limits = budgets(lock)
    for device, run in sorted(evidence["runs"].items()):
        for check in sorted(limits.keys() & run["checks"].keys()):
            noise = run["checks"][check]["noise"]
            if noise != limits[check]:
                said = f"it is judged by a budget of {noise}, and port.toml gives {limits[check]}"
                reader.report(EVIDENCE, said, place=f"{device}: {check}")


def _check_verdicts(reader: Reader, manifest: _Json, evidence: _Json) -> None:
    ran: set[str] = set()
    skipped: dict[str, tuple[str, str]] = {}
    for row in judge(manifest, evidence):
        if row.entry is None:
            if row.why:
                skipped.setdefault(row.check, (row.device, row.why))
            continue
        ran.add(row.check)
        if row.verdict is not None and not row.verdict.passed:
            hint = f"mend model.py or the Skill, then {REBUILD}"
            said = f"it fails: {measured_against(row.verdict)}"
            reader.report(EVIDENCE, said, hint, place=f"{row.device}: {row.check}")
    for check, (device, why) in skipped.items():
        if check not in ran and not recorded_only(check):
            reader.report(EVIDENCE, f"it was not run, and that is no pass: {why}", place=f"{device}: {check}")


def measured_against(verdict: tolerance.Verdict) -> str:
    """Say a failing figure against its tolerance, as `rel_l2 9.9e-04 > 16 x 1.1e-07 = 1.8e-06`."""
    product = f" = {verdict.tolerance:.1e}" if " x " in verdict.why else ""
    return f"{verdict.why}{product}"


def loosened_notes(manifest: _Json, evidence: _Json) -> Iterator[str]:
    """Say how many checks have a raised headroom, by factor."""
    factors: dict[tuple[str, float], int] = {}
    for row in judge(manifest, evidence):
        if row.loosened is not None:
            key = (row.device, row.loosened)
            factors[key] = factors.get(key, 0) + 1
    for (device, factor), count in sorted(factors.items()):
        yield f"{device}: {count} check{'s' * (count > 1)} loosened ×{factor:.3g}"


def _edits(reader: Reader, name: str, body: _Json) -> str:
    """Say what differs from the last commit's file where that one's seal is right: most likely the edit."""
    content = reader.tree.before(reader.at(name), canonical.MAX_JSON_BYTES)
    try:
        before = canonical.parse_object(content or b"", name)
    except PortError:
        return ""
    if before.get("seal") != canonical.seal(before):
        return ""
    found = list(_differences(before, body, ""))
    shown = "; ".join(f"{path} was {_say(old)} and is {_say(new)}" for path, old, new in found[:_EDITS])
    more = f"; and {len(found) - _EDITS} more" if len(found) > _EDITS else ""
    return f" ({shown}{more})" if found else ""


def _differences(before: _Json, after: _Json, path: str) -> Iterator[tuple[str, object, object]]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{path}{key}: ")
        elif old != new and key != "seal":
            yield f"{path}{key}", old, new


def _missing(wanted: Any, present: Any) -> list[str]:
    return sorted(set(wanted) - set(present))


def _say(value: object) -> str:
    if value is None:
        return "absent"
    return "present" if isinstance(value, (Mapping, list)) else f"{value!r}"
