"""port: write port.lock, the manifest and the evidence from what the other stages found, and judge every figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ExitCode, PortError
from ..records import ComponentSpec, QuantizeSpec
from .context import Port, digest, digest_text_file, read_json
from .stage import Done, OnEvent, Stage
from .verify import MEASUREMENTS


def port_stage(port: Port) -> Stage:
    name = f"port:{port.spec.name}"
    components = port.spec.components

    def inputs() -> dict[str, str]:
        from ..inputs import plan_digest

        found = {
            "port.toml": plan_digest(port.spec.raw),
            "the Skill": digest({key: value for key, value in port.slices.items() if key != "prose"}),
            "the headroom": str(port.skill.headroom),
        }
        for component in components:
            out = port.paths.component(component.name)
            found[f"the measurements of {component.name}"] = str(port.result("verify", component)["measurements"])
            found[f"the pinned files of {component.name}"] = digest(port.result("fetch", component)["files"])
            for file in ("model.py", ".base/model.py", "config.json", "portmap.json"):
                found[f"{component.name}: {file}"] = digest_text_file(out / file)
        return found

    def run(on_event: OnEvent) -> Done:
        proof = prove_port(port)
        files = (port.paths.lock, port.paths.manifest, port.paths.evidence)
        summary = _summarise(port, proof)
        on_event({"event": "summary", "summary": summary})
        problems = summary.problems()
        if problems:
            raise PortError(problems, ExitCode.FAILED)
        return Done(files, {"checks": len(proof.manifest["checks"])})

    needs = tuple(port.task("verify", component) for component in components)
    doc = "everything, then manifest, evidence and summary"
    return Stage(name, needs, port.spec.directory, port.paths.receipt(name), inputs, run, doc)


def prove_port(port: Port, *, refresh: bool = False) -> Any:
    """Write port.lock, port.manifest.json and port.evidence.json; returns `evidence.Proof`."""
    from ..evidence import prove
    from ..inputs import inputs_on_disk
    from ..lock import write_lock

    write_lock(port.paths.lock, lock_of(port))
    components = port.spec.components
    golden = {c.name: str(port.result("capture", c)["digest"]) for c in components}
    weights: dict[str, str] = {}
    for component in components:
        folder = "" if port.paths.single else f"{component.name}/"
        weights |= {folder + file: sha for file, sha in port.result("remap", component)["weights"].items()}
    return prove(
        port.spec.directory,
        port.spec.name,
        read_json(port.paths.lock),
        inputs_on_disk(port.spec.directory, port.spec.raw, golden, weights),
        [measurements(port, component) for component in components],
        holes=[hole for component in components for hole in holes(port, component)],
        headroom=port.skill.headroom,
        refresh=refresh,
    )


def measurements(port: Port, component: ComponentSpec) -> Mapping[str, Any]:
    """Return the raw figures that the verify stage wrote."""
    found: Mapping[str, Any] = read_json(port.paths.build(component.name) / MEASUREMENTS)
    return found


def holes(port: Port, component: ComponentSpec) -> list[Mapping[str, Any]]:
    """Return the holes of the generated code that model.py still has: one that a person filled is gone."""
    found: list[Mapping[str, Any]] = []
    model = (port.paths.component(component.name) / "model.py").read_text(encoding="utf-8")
    for hole in port.result("codegen", component).get("holes", []):
        if _raises(model, str(hole.get("source", ""))):
            found.append({"component": component.name, **hole})
    return found


def _raises(model: str, source: str) -> bool:
    """Whether the code still raises NotImplementedError with the quoted source of a hole."""
    import ast

    for node in ast.walk(ast.parse(model)):
        raised = node.exc if isinstance(node, ast.Raise) else None
        if isinstance(raised, ast.Call) and ast.unparse(raised.func) == "NotImplementedError":
            said = [a.value for a in raised.args if isinstance(a, ast.Constant)]
            if any(isinstance(text, str) and source.strip() in text for text in said):
                return True
    return False


def lock_of(port: Port) -> Any:
    """Compose port.lock: the pins, the facts from which the checks follow, the Skill's slices."""
    from ..lock import Facts, Lock, LockedComponent, LockedSkill
    from ..records import SnapshotFile

    quantize = port.spec.quantize
    files: dict[str, SnapshotFile] = {}
    components: dict[str, LockedComponent] = {}
    revision = ""
    for component in port.spec.components:
        fetched = port.result("fetch", component)
        revision = str(fetched["revision"])
        files |= {f["path"]: SnapshotFile(**f) for f in fetched["files"]}
        facts = measurements(port, component)["facts"]
        components[component.name] = LockedComponent(
            component.path,
            component.reference,
            Facts(
                component.reference,
                component.kind,
                int(port.result("bind", component)["elements"]),
                str(fetched["config_digest"]),
                tuple(facts["modules"]),
                dict(facts["exempt"]),
                tuple(facts["traits"]),
                None if quantize is None else quantize_facts(quantize),
            ),
        )
    slices = {name: value for name, value in port.slices.items() if name != "prose"}
    skill = LockedSkill(port.skill.name, port.skill.version, slices)
    return Lock(port.spec.source.text, revision, files, components, skill)


def quantize_facts(quantize: QuantizeSpec) -> dict[str, Any]:
    """Return what port.lock says of [quantize], from which the checks follow."""
    if quantize.source:
        return {"source": True, "budget": dict(quantize.budget)}
    own = {"bits": quantize.bits, "group_size": quantize.group_size, "mode": quantize.mode}
    return {**own, "budget": dict(quantize.budget)}


def _summarise(port: Port, proof: Any) -> Any:
    from ..summary import Line, Summary, details_of

    lines = [
        Line(
            c.name,
            c.reference,
            int(port.result("bind", c)["elements"]),
            port.paths.component(c.name).relative_to(port.spec.directory).as_posix(),
        )
        for c in port.spec.components
    ]
    open_holes = [str(hole["where"]) for c in port.spec.components for hole in holes(port, c)]
    details = details_of([measurements(port, c) for c in port.spec.components])
    return Summary(port.spec.name, port.spec.directory, tuple(lines), proof, tuple(open_holes), details)
