"""Measure a finished port on another machine: only its committed files, its weights and a golden are needed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import canonical
from .errors import ExitCode, PortError, Problem
from .stages.context import Port, load
from .stages.stage import OnEvent
from .workers import run_worker

if TYPE_CHECKING:
    from .summary import Summary


def remeasure(folder: Path, packed: Path | None, on_event: OnEvent) -> Summary:
    """Measure the port in `folder` and add the run of this machine's device to port.evidence.json.

    Raises PortError where the files that lie here are not those that the manifest was made from: a run on other code,
    weights or golden would prove nothing about this port.
    """
    from .evidence import EVIDENCE, Proof, build_evidence, judge, write_if_changed
    from .summary import Line, Summary, details_of

    port = load(folder / "port.toml")
    manifest = _json(port.paths.manifest)
    previous = _json(port.paths.evidence)
    with tempfile.TemporaryDirectory(prefix="portwright-") as scratch:
        goldens = _goldens(port, packed, Path(scratch))
        _same_inputs(port, manifest, goldens)
        measured = [_measure(port, c.name, goldens[c.name], Path(scratch), on_event) for c in port.spec.components]
    headroom = port.skill.headroom
    evidence = build_evidence(port.spec.name, manifest, measured, headroom=headroom, previous=previous, refresh=True)
    write_if_changed(folder / EVIDENCE, evidence)
    device = str(measured[0]["device"])
    lines = tuple(
        Line(c.name, c.reference, int(manifest["components"][c.name]["parameters"]), port.spec.out)
        for c in port.spec.components
    )
    judged = tuple(j for j in judge(manifest, evidence) if j.device == device)
    holes = tuple(str(hole.get("where", "")) for hole in manifest.get("holes", ()))
    return Summary(port.spec.name, folder, lines, Proof(manifest, evidence, True, judged), holes, details_of(measured))


def _json(path: Path) -> dict[str, Any]:
    try:
        return canonical.parse_object(path.read_bytes(), path.name)
    except OSError:
        raise PortError(Problem(path.name, "there is no such file", "doit port"), ExitCode.USAGE) from None


def _goldens(port: Port, packed: Path | None, scratch: Path) -> dict[str, Path]:
    """Return each component's golden folder; a packed one is unpacked for as long as it is needed."""
    if packed is None:
        return {c.name: port.paths.golden(c.name) for c in port.spec.components}
    if len(port.spec.components) > 1:
        hint = "`portwright golden unpack FILE --component NAME` for each, then verify without --golden"
        raise PortError(Problem("--golden", "this port has several components", hint), ExitCode.USAGE)
    from .verify.pack import unpack

    name = port.spec.components[0].name
    unpack(packed, scratch / "golden")
    return {name: scratch / "golden"}


def _same_inputs(port: Port, manifest: Mapping[str, Any], goldens: Mapping[str, Path]) -> None:
    from .inputs import inputs_on_disk

    golden = {}
    for name, folder in goldens.items():
        index = folder / "golden.json"
        if not index.is_file():
            hint = "copy the file of `portwright golden pack` here and name it with --golden"
            raise PortError(Problem(str(index), "there is no golden here", hint), ExitCode.USAGE)
        golden[name] = canonical.sha256_text_file(index)
    weights = {}
    for path in manifest["inputs"]["weights"]:
        file = port.spec.directory / port.spec.out / path
        if not file.is_file():
            hint = "`git lfs pull`, or build it: doit remap"
            raise PortError(Problem(str(file), "the weights are not here", hint), ExitCode.USAGE)
        weights[path] = canonical.sha256_file(file)
    here = inputs_on_disk(port.spec.directory, port.spec.raw, golden, weights).to_json()
    here, wanted = _flat(here), _flat(manifest["inputs"])
    differ = sorted(key for key in wanted if here.get(key) != wanted[key])
    said = "is not what the manifest was made from"
    if differ:
        raise PortError([Problem(key, said, _hint(key)) for key in differ], ExitCode.FAILED)


def _hint(key: str) -> str:
    if key.split("/")[-1] == "golden":  # another machine's reference answers in other last bits
        return (
            "take the packed golden of the machine that made the evidence, or delete port.evidence.json and: doit port"
        )
    return "verify the state that was committed, or build a new manifest: doit port"


def _flat(inputs: Mapping[str, Any]) -> dict[str, Any]:
    weights = {f"weights of {path}": digest for path, digest in inputs["weights"].items()}
    return {**{key: value for key, value in inputs.items() if key != "weights"}, **weights}


def _measure(port: Port, component: str, golden: Path, scratch: Path, on_event: OnEvent) -> dict[str, Any]:
    out = port.paths.component(component)
    target = scratch / f"{component}.measurements.json"
    job = {  # no moves: the source's own bytes are not on this machine, the golden's digests of them are
        "component": component,
        "port": str(out.resolve()),
        "golden": str(golden.resolve()),
        "portmap": str((out / "portmap.json").resolve()),
        "dtype": port.spec.dtype,
        "budget": dict(port.spec.quantize.budget) if port.spec.quantize else {},
        "kept": bool(port.spec.quantize and port.spec.quantize.source),
        "out": str(target),
    }
    run_worker("portwright.verify.measure", job, on_event=on_event, mlx=True)
    return canonical.parse_object(target.read_bytes(), target.name)
