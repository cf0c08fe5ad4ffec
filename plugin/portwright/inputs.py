"""The digests that bind figures to what they were measured on, computed alike on disk and, by the gate, in git."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import canonical
from .errors import PortError, Problem

LOCK = "port.lock"
# Files of a component that the evidence is bound to, relative to its folder.
COMPONENT_FILES = ("model.py", ".base/model.py", "config.json", "portmap.json")


@dataclass(frozen=True)
class Inputs:
    """The digests ("sha256:…") of everything that the figures depend on.

    `files` holds COMPONENT_FILES by their path inside the output folder, `golden` one digest for each component,
    `weights` each safetensors file by its path inside the output folder.
    """

    lock: str
    plan: str
    skill: str
    files: Mapping[str, str]
    golden: Mapping[str, str]
    weights: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Give the object `inputs` of manifest and evidence."""
        return {
            "lock": self.lock,
            "plan": self.plan,
            "skill": self.skill,
            **self.files,
            **{f"{folder_of(name, self.golden)}golden": digest for name, digest in self.golden.items()},
            "weights": dict(self.weights),
        }


def folder_of(component: str, components: Iterable[str]) -> str:
    """Give a component's folder inside the output folder: "vae/", or "" in a port with the one component `model`."""
    return "" if set(components) == {"model"} else f"{component}/"


def plan_digest(port: Mapping[str, Any]) -> str:
    """Digest a parsed port.toml; comments, layout and `[gate]` change no figure and do not count."""
    return canonical.sha256_json({key: value for key, value in port.items() if key != "gate"})


def skill_digest(lock: Mapping[str, Any]) -> str:
    """Digest the Skill slices that the lock names; prose changes no figure and does not count."""
    slices = lock["skill"]["slices"]
    return canonical.sha256_json({name: digest for name, digest in slices.items() if name != "prose"})


def out_folder(port: Mapping[str, Any]) -> str:
    """Give the output folder of a parsed port.toml, relative to it."""
    return str(port.get("out", {}).get("path", "ported")).strip("/")


def component_files(components: Iterable[str]) -> list[str]:
    """List the files that the evidence is bound to, relative to the output folder, sorted."""
    names = list(components)
    return sorted(f"{folder_of(name, names)}{file}" for name in names for file in COMPONENT_FILES)


def inputs_on_disk(
    directory: Path, port: Mapping[str, Any], golden: Mapping[str, str], weights: Mapping[str, str]
) -> Inputs:
    """Digest what lies beside a parsed port.toml; the stages that wrote golden and weights give their digests.

    `golden` is by component, `weights` by path inside the output folder. Raises PortError for every missing file.
    """
    lock_file, out = directory / LOCK, directory / out_folder(port)
    if not lock_file.is_file():
        raise PortError(Problem(str(lock_file), "there is no such file", "doit port"))
    lock_text = lock_file.read_bytes()
    lock = canonical.parse_object(lock_text, str(lock_file))
    paths = component_files(lock["components"])
    missing = [
        Problem(str(out / path), "there is no such file", "doit port") for path in paths if not (out / path).is_file()
    ]
    if missing:
        raise PortError(missing)
    return Inputs(
        lock=canonical.sha256_text(lock_text),
        plan=plan_digest(port),
        skill=skill_digest(lock),
        files={path: canonical.sha256_text_file(out / path) for path in paths},
        golden={name: _prefixed(digest) for name, digest in golden.items()},
        weights={path: _prefixed(digest) for path, digest in weights.items()},
    )


def _prefixed(digest: str) -> str:
    return digest if digest.startswith(canonical.PREFIX) else canonical.PREFIX + digest
