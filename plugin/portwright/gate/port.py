"""Judge one port: read its committed files, then hold each against the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import canonical
from ..contribute.accept import FILE as ACCEPTANCE
from ..errors import PortError, Problem
from ..evidence import EVIDENCE, MANIFEST, devices_not_run
from ..inputs import LOCK
from ..lock import parse_lock
from ..records import PortSpec
from .inputs import check_holes, check_inputs
from .proof import check_proof, loosened_notes
from .reader import Reader
from .skills import check_skill, makers, read_port
from .tree import Tree

# Beside a port.toml; none of them may stay when it goes.
COMPANIONS = (LOCK, MANIFEST, EVIDENCE, ACCEPTANCE)


@dataclass(frozen=True)
class PortReport:
    """What the gate found about one port; it may be committed where `problems` is empty."""

    name: str  # of the port, "" where port.toml cannot be read
    folder: str  # "" or "examples/minilm/"
    out: str  # output folder, relative to `folder`
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]  # what to say of a port that passes
    made_with: tuple[str, ...]  # versions of portwright that measured it


def judge_port(tree: Tree, folder: str, top: Path) -> PortReport:
    """Judge the port whose port.toml lies in `folder`; `top` holds the tree's Skills (`committed_skills`)."""
    reader = Reader(tree, folder)
    spec = read_port(reader, top)
    lock_text = reader.content(LOCK)
    lock = _lock(reader, lock_text)
    manifest_text = reader.content(MANIFEST, canonical.MAX_JSON_BYTES)
    manifest = reader.parse(MANIFEST, manifest_text, "manifest") if manifest_text is not None else None
    evidence_text = reader.content(EVIDENCE, canonical.MAX_JSON_BYTES)
    evidence = reader.parse(EVIDENCE, evidence_text, "evidence") if evidence_text is not None else None
    notes: tuple[str, ...] = ()
    if spec and lock and lock_text is not None:
        _check_lock(reader, spec, lock)
        if manifest and manifest_text is not None and evidence and evidence_text is not None:
            check_inputs(reader, spec.raw, lock, lock_text, manifest, evidence)
            check_proof(reader, spec.name, lock, manifest, manifest_text, evidence)
            check_holes(reader, spec.raw, lock, manifest)
            check_skill(reader, spec, lock, evidence, top)
            if spec.gate == "accepted":
                _check_acceptance(reader, spec.name, evidence_text)
            notes = _notes(manifest, evidence)
    return PortReport(
        name=spec.name if spec else "",
        folder=folder,
        out=spec.out if spec else "ported",
        problems=tuple(dict.fromkeys(reader.problems)),
        notes=notes,
        made_with=makers(evidence) if evidence else (),
    )


def judge_leftovers(tree: Tree) -> list[Problem]:
    """Note the files of a port whose port.toml is gone: evidence that is judged by nobody must not stay."""
    kinds = tree.kinds()
    found = []
    for path in sorted(kinds):
        folder, _, name = path.rpartition("/")
        beside = f"{folder}/port.toml" if folder else "port.toml"
        if name in (MANIFEST, EVIDENCE, ACCEPTANCE) and beside not in kinds:
            found.append(Problem(path, "there is no port.toml beside it", f"git rm {path}, or git add {beside}"))
    return found


def _lock(reader: Reader, content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        return parse_lock(content, reader.at(LOCK)).to_json()
    except PortError as error:
        reader.problems += error.problems
        return None


def _check_lock(reader: Reader, spec: PortSpec, lock: Mapping[str, Any]) -> None:
    """Note what port.toml asks for and port.lock was not made from."""
    if lock["source"] != spec.source.text:
        reader.report(LOCK, f"it pins {lock['source']}, and port.toml names {spec.source.text}", place="source")
    wanted = {component.name: component for component in spec.components}
    for name in sorted(wanted.keys() - lock["components"].keys()):
        reader.report(LOCK, "port.toml has this component, and the lock does not", place=f"components.{name}")
    for name in sorted(lock["components"].keys() - wanted.keys()):
        reader.report(LOCK, "port.toml does not have this component", place=f"components.{name}")
    quantize = {key: value for key, value in asdict(spec.quantize).items() if key != "keep"} if spec.quantize else None
    for name in sorted(wanted.keys() & lock["components"].keys()):
        locked, component = lock["components"][name], wanted[name]
        facts = locked["facts"]
        asked = {"reference": component.reference, "path": component.path, "kind": component.kind}
        for key, value in asked.items():
            found = facts["kind"] if key == "kind" else locked[key]
            if found != value:
                reader.report(LOCK, f"{key} is {found!r} here and {value!r} in port.toml or its Skill",
                              place=f"components.{name}")  # fmt: skip
        if (quantize is None) != (facts.get("quantize") is None):
            said = (
                "port.toml quantizes, and the lock does not"
                if quantize
                else "port.toml does not quantize, the lock does"
            )
            reader.report(LOCK, said, place=f"components.{name}.facts.quantize")
        elif quantize is not None:
            for key, value in facts["quantize"].items():
                if quantize.get(key) != value:
                    said = f"{key} is {value!r} here and {quantize.get(key)!r} in port.toml"
                    reader.report(LOCK, said, place=f"components.{name}.facts.quantize")


def _check_acceptance(reader: Reader, port: str, evidence_text: bytes) -> None:
    """Note a missing acceptance, or one of other evidence; a person gives it with `portwright accept`."""
    command = f"portwright accept {reader.folder.rstrip('/') or '.'}, then git add {reader.at(ACCEPTANCE)}"
    if reader.kind(ACCEPTANCE) is None:
        reader.report(ACCEPTANCE, "gate.require is 'accepted', and nobody has accepted this evidence", command)
        return
    record = reader.parsed(ACCEPTANCE, "acceptance")
    if record is None:
        return
    if record["port"] != port:
        reader.report(ACCEPTANCE, f"it accepts the port {record['port']!r}, and this is {port!r}", command)
    if record["evidence"] != canonical.sha256_text(evidence_text):
        reader.report(ACCEPTANCE, f"{record['by']} accepted other evidence, on {record['at']}", command)


def _notes(manifest: Mapping[str, Any], evidence: Mapping[str, Any]) -> tuple[str, ...]:
    ran = [f"{len(run['checks'])} checks hold on {device}" for device, run in sorted(evidence["runs"].items())]
    return (*ran, *(f"{device}: not run" for device in devices_not_run(evidence)), *loosened_notes(manifest, evidence))
