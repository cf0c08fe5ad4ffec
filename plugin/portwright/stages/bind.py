"""bind: freeze the Skill's rules against the checkpoint's headers, and prove that nothing is lost before it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..canonical import dumps
from ..errors import PortError, Problem
from ..publish import publish_text
from ..records import ComponentSpec, TensorInfo
from ..skill import Skill
from .context import Port, digest, digest_text_file, read_json
from .stage import Done, OnEvent, Stage

NAMES, MOVES = "names.json", "moves.json"  # source -> the reference's names; source -> the port's parameters


def bind_stage(port: Port, component: ComponentSpec) -> Stage:
    name = port.task("bind", component)
    build = port.paths.build(component.name)
    portmap_file = port.paths.component(component.name) / "portmap.json"

    def inputs() -> dict[str, str]:
        port.result("codegen", component)  # says which stage is missing, before the file is missed
        return {
            "the Skill's rules": port.slices["rules"],
            "the checkpoint's headers": digest(_headers_digest(port, component)),
            "the config": port.config_digest(component),
            "portmap.json": digest_text_file(portmap_file),
        }

    def run(on_event: OnEvent) -> Done:
        from ..rules.bind import bind
        from ..rules.compose import compose
        from ..rules.portmap import parse_portmap
        from ..rules.prove import prove
        from ..rules.ruleset import choose_layout

        portmap = parse_portmap(read_json(portmap_file), str(portmap_file))
        root = port.snapshot_root(component)
        config = read_json(port.config_file(component))
        headers = read_headers(root, [str(f["path"]) for f in port.weight_files(component)])
        rules = choose_layout(rulesets(port.skill), headers)
        binding = bind(rules, headers, portmap.names, config)
        composed = compose(binding, portmap)
        proof = prove(composed, headers, portmap)
        on_event(
            {"event": "log", "text": f"{proof.sources} keys -> {proof.targets} parameters, {proof.dropped} dropped"}
        )
        publish_text(build / NAMES, dumps(binding.to_json()))
        publish_text(build / MOVES, dumps(composed.to_json()))
        result = {
            "layout": rules.layout,
            "moves": digest(_what_moves(composed.to_json())),
            "sources": proof.sources,
            "parameters": proof.targets,
            "elements": proof.elements,
            "dropped": {drop.source: drop.reason for drop in composed.drops},
        }
        return Done((build / NAMES, build / MOVES), result)

    needs = (port.task("codegen", component),)
    return Stage(name, needs, port.spec.directory, port.paths.receipt(name), inputs, run, "bind and prove the rules")


def _what_moves(body: Mapping[str, Any]) -> Any:
    """Return what decides the bytes that are written: neither where a rule stands nor what it says in words."""
    moves = [{key: value for key, value in move.items() if key != "rule"} for move in body["moves"]]
    drops = [{"source": drop["source"], "restore": drop["restore"]} for drop in body["drops"]]
    return [body["sources"], moves, drops]


def read_headers(root: Path, files: list[str]) -> dict[str, TensorInfo]:
    """Read the headers of a checkpoint's files; raises PortError where a key stands in two files."""
    from ..weightfile import read_tensors

    headers: dict[str, TensorInfo] = {}
    problems = []
    for file in files:
        for key, info in read_tensors(root / file, file).items():
            if key in headers:
                problems.append(Problem(file, f"{key!r} also stands in {headers[key].file}", "the source is damaged"))
            headers[key] = info
    if problems:
        raise PortError(problems)
    return headers


def rulesets(skill: Skill) -> tuple[Any, ...]:
    """Parse the rules of a Skill and of what it extends; within a layout a rule with the same `match` is replaced."""
    from ..rules.load import parse_rules
    from ..rules.ruleset import RuleSet

    problems: list[Problem] = []
    merged: dict[str, RuleSet] = {}
    for file in skill.rules:
        shown = f"{file.path.parent.name}/{file.path.name}"
        try:
            own = parse_rules(file.text.encode(), shown)
        except PortError as error:
            problems += error.problems
            continue
        base = merged.get(own.layout)
        merged[own.layout] = own if base is None else _over(base, own)
    if problems:
        raise PortError(problems)
    return tuple(merged.values())


def _over(base: Any, own: Any) -> Any:
    replaced = {tuple(p.text for p in rule.patterns) for rule in own.rules}
    kept = tuple(rule for rule in base.rules if tuple(p.text for p in rule.patterns) not in replaced)
    return replace(
        own,
        detect=own.detect or base.detect,
        tables={**base.tables, **own.tables},
        sizes={**base.sizes, **own.sizes},
        rules=(*kept, *own.rules),
    )


def _headers_digest(port: Port, component: ComponentSpec) -> list[Mapping[str, Any]]:
    return [{"path": f["path"], "header": f["header_sha256"] or f["sha256"]} for f in port.weight_files(component)]
