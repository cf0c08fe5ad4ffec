"""One loaded port, and the questions that several of its stages ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import receipts
from ..canonical import sha256_json, sha256_text
from ..errors import ExitCode, PortError, Problem
from ..paths import PREFIXES, PortPaths
from ..records import ComponentSpec, PortSpec
from ..skill import Skill, load_skill
from ..spec import load_port

if TYPE_CHECKING:
    from ..lock import Lock

INDEX = ".safetensors.index.json"


@dataclass
class Port:
    """A port.toml with its Skill; file contents are read once a run."""

    spec: PortSpec
    skill: Skill
    paths: PortPaths
    slices: Mapping[str, str]
    origin: Path  # what relative `file:` sources start from: the port's folder, also when a copy is built elsewhere
    _lock: list[Lock | None] = field(default_factory=list)

    def task(self, stage: str, component: ComponentSpec) -> str:
        """Return the name of a component's task; the stage `fetch-golden` is a second task of the group `fetch`."""
        group, dash, rest = stage.partition("-")
        return f"{group}:{self.spec.name}:{component.name}{dash}{rest}"

    def result(self, stage: str, component: ComponentSpec) -> Mapping[str, Any]:
        """Return what a finished stage found; raises PortError where it has not run."""
        task = self.task(stage, component)
        receipt = receipts.read(self.paths.receipt(task))
        if receipt is None:
            raise PortError(Problem(task, "this stage has not run yet", f"doit {task}"))
        return receipt.result

    def lock(self) -> Lock | None:
        """Return port.lock, or None where there is none yet."""
        if not self._lock:
            from ..lock import read_lock

            self._lock.append(read_lock(self.paths.lock) if self.paths.lock.is_file() else None)
        return self._lock[0]

    def snapshot_root(self, component: ComponentSpec, stage: str = "fetch") -> Path:
        """Return the folder of the fetched files; it is named relative to the cache, which may have moved."""
        return unfold_root(str(self.result(stage, component)["root"]), self.spec.directory)

    def config_file(self, component: ComponentSpec) -> Path:
        """Return the reference's config: the source's own, or the one that was made of a GGUF file's metadata."""
        made = self.result("fetch", component).get("made", {})
        folder = self.made(component) if "config.json" in made else self.snapshot_root(component) / component.path
        return folder / "config.json"

    def made(self, component: ComponentSpec) -> Path:
        """Return the folder of what was made of a GGUF file's metadata: config and tokenizer."""
        return self.paths.build(component.name) / "source"

    def weight_files(self, component: ComponentSpec) -> list[Mapping[str, Any]]:
        """Return the fetched records of the component's weight files, those of its index where it has one."""
        return weight_files(self.result("fetch", component)["files"], self.result("fetch", component)["weight_names"])

    def config_digest(self, component: ComponentSpec) -> str:
        return str(self.result("fetch", component)["config_digest"])


def load(port_toml: Path, origin: Path | None = None) -> Port:
    """Read one port.toml and its Skill; raises PortError with every problem. `origin`: see `Port`."""
    spec = load_port(port_toml)
    skill = load_skill(spec.skill, spec.directory.resolve())
    single = [c.name for c in spec.components] == ["model"]
    return Port(spec, skill, PortPaths(spec.directory, spec.out, single), skill.slices(), origin or spec.directory)


def fold_root(root: str, base: Path) -> str:
    """Name a snapshot's folder so that neither a moved cache nor a moved repository changes it."""
    path = Path(root)
    for prefix, parent in [*((prefix, find()) for prefix, find in PREFIXES.items()), ("port:", base)]:
        if path.is_relative_to(parent):
            return prefix + path.relative_to(parent).as_posix()
    return root


def unfold_root(name: str, base: Path) -> Path:
    """Undo `fold_root`."""
    for prefix, parent in PREFIXES.items():
        if name.startswith(prefix):
            return parent() / name.removeprefix(prefix)
    return base / name.removeprefix("port:")


def weight_files(files: list[Mapping[str, Any]], names: list[str]) -> list[Mapping[str, Any]]:
    wanted = set(names)
    return [file for file in files if file["path"] in wanted]


def digest_text_file(path: Path) -> str:
    """Return the digest of a text file, or "absent"."""
    try:
        return sha256_text(path.read_bytes())
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        raise PortError(Problem(str(path), str(error.strerror)), ExitCode.USAGE) from None


def read_json(path: Path) -> Any:
    """Read one of our own JSON files; raises PortError where it is missing or broken."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PortError(Problem(str(path), "there is no such file", "doit port"), ExitCode.USAGE) from None
    except (OSError, ValueError) as error:
        raise PortError(Problem(str(path), f"cannot be read as JSON: {error}"), ExitCode.USAGE) from None


def digest(value: Any) -> str:
    """Return the digest of a JSON value."""
    return sha256_json(value)
