"""port.lock: the exact revision and digests that a port was made from, and the facts its checks follow from.

JSON in canonical form (`canonical.py`), checked against `schemas/lock.schema.json`; a text that passed once is not
checked again, so that a run in which nothing changed does not import jsonschema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import canonical
from .errors import ExitCode, PortError, Problem
from .jsonpos import positions
from .publish import publish_text
from .records import SnapshotFile
from .sources.names import name_problem
from .validated import check_once

SCHEMA = 1


@dataclass(frozen=True)
class Facts:
    """What is known of one component's reference; the manifest's list of checks is derived from it."""

    cls: str  # "module:Class"
    kind: str  # "encoder", "decoder", ...
    parameters: int
    config: str  # "sha256:…" of the reference's config
    modules: tuple[str, ...] = ()  # reference modules that hold parameters and are called
    exempt: Mapping[str, str] = field(default_factory=dict)  # module -> why it is not checked in isolation
    traits: tuple[str, ...] = ()  # probes that could be made: "long", "padding", "batch"
    quantize: Mapping[str, Any] | None = None  # [quantize] of port.toml

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"class": self.cls, "kind": self.kind, "parameters": self.parameters}
        value |= {"config": self.config, "modules": list(self.modules), "exempt": dict(self.exempt)}
        value |= {"traits": list(self.traits)}
        return value | ({"quantize": dict(self.quantize)} if self.quantize is not None else {})


@dataclass(frozen=True)
class LockedComponent:
    """One component: its folder in the source, its reference and its facts."""

    path: str
    reference: str
    facts: Facts

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "reference": self.reference, "facts": self.facts.to_json()}


@dataclass(frozen=True)
class LockedSkill:
    """The Skill that the port was made with, and the digest of each of its parts that was used."""

    name: str
    version: str
    slices: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "slices": dict(self.slices)}


@dataclass(frozen=True)
class Lock:
    """One port.lock."""

    source: str
    revision: str
    files: Mapping[str, SnapshotFile]
    components: Mapping[str, LockedComponent]
    skill: LockedSkill

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "source": self.source,
            "revision": self.revision,
            "files": {path: _file_json(pin) for path, pin in self.files.items()},
            "components": {name: component.to_json() for name, component in self.components.items()},
            "skill": self.skill.to_json(),
        }


def read_lock(path: Path) -> Lock:
    """Read and check a port.lock; raises PortError (ExitCode.USAGE) with every problem and its line."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PortError(Problem(str(path), f"cannot be read: {error.strerror}", "doit port"), ExitCode.USAGE) from None
    return parse_lock(content, str(path))


def parse_lock(content: bytes, where: str) -> Lock:
    """Check the content of a port.lock that is called `where`; raises PortError with every problem and its line."""
    try:
        value = canonical.parse_object(content, where)
    except PortError as error:
        raise PortError([Problem(p.where, p.problem, _HINT) for p in error.problems], ExitCode.USAGE) from None
    text = content.decode("utf-8")
    problems = check_once(value, "lock", where, text) or _meaning(value, where)
    if problems:
        lines = {".".join(map(str, key)): line for key, line in positions(text).items()}
        raise PortError([_located(problem, where, lines) for problem in problems], ExitCode.USAGE)
    return Lock(
        value["source"],
        value["revision"],
        {name: _file(name, entry) for name, entry in value["files"].items()},
        {name: _component(entry) for name, entry in value["components"].items()},
        LockedSkill(**value["skill"]),
    )


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a port.lock in one step, unless an equal one is there; returns whether it was written.

    Raises PortError if the lock would not be read back, for example for a path that leaves its folder.
    """
    text = canonical.dumps(lock.to_json())
    parse_lock(text.encode(), str(path))
    return publish_text(path, text)


_HINT = "port.lock is written by `doit port`: take the committed one (`git checkout port.lock`), or delete it"


def _meaning(value: Mapping[str, Any], where: str) -> list[Problem]:
    """Check what a schema cannot say: sources parse, names join safely, folders contain their files."""
    from .sources import parse_source

    problems = []
    try:
        parse_source(value["source"])
    except PortError as error:
        problems += [Problem(f"{where}: source", p.problem, p.hint) for p in error.problems]
    for name in value["files"]:
        if said := name_problem(name):
            problems.append(Problem(f"{where}: files.{name}", f"this path {said}"))
    for name, component in value["components"].items():
        folder = component["path"]
        if folder and (said := name_problem(folder)):
            problems.append(Problem(f"{where}: components.{name}.path", f"this path {said}"))
        elif not any(not folder or file.startswith(f"{folder}/") for file in value["files"]):
            problems.append(
                Problem(f"{where}: components.{name}.path", f"no pinned file lies in {folder or 'the source'}")
            )
    return problems


def _located(problem: Problem, where: str, lines: Mapping[str, int]) -> Problem:
    key = problem.where.removeprefix(where).removeprefix(": ")
    parts = key.split(".")
    line = next((lines[k] for n in range(len(parts), 0, -1) if (k := ".".join(parts[:n])) in lines), None)
    place = f"{where}:{line}" if line is not None else where
    return Problem(f"{place}: {key}" if key else place, problem.problem, _HINT)


def _file(path: str, entry: Mapping[str, Any]) -> SnapshotFile:
    return SnapshotFile(path, int(entry["size"]), entry["sha256"], entry.get("header_sha256"), entry["revision"])


def _file_json(pin: SnapshotFile) -> dict[str, Any]:
    value = {"revision": pin.revision, "size": pin.size, "sha256": pin.sha256}
    return value | ({"header_sha256": pin.header_sha256} if pin.header_sha256 is not None else {})


def _component(entry: Mapping[str, Any]) -> LockedComponent:
    facts = entry["facts"]
    return LockedComponent(
        entry["path"],
        entry["reference"],
        Facts(
            facts["class"],
            facts["kind"],
            int(facts["parameters"]),
            facts["config"],
            tuple(facts.get("modules", ())),
            dict(facts.get("exempt", {})),
            tuple(facts.get("traits", ())),
            facts.get("quantize"),
        ),
    )
