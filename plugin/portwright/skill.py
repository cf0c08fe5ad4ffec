"""Find a Skill and read its data: the repo's own `skills/` first, then the built-in ones.

A Skill is a folder: `SKILL.md` (prose for whoever follows it), `skill.toml` (components, probes, quantization) and
`rules*.toml` (one per checkpoint layout). `extends` starts from another Skill's data; a table of the same name is
merged key by key, a rule with the same `match` in the same layout is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from .canonical import sha256_json, sha256_text
from .errors import ExitCode, PortError, Problem
from .resources import data_dir

SLICES = ("components", "probes", "quantize", "rules", "tolerance")  # what can make a stage run again


@dataclass(frozen=True)
class RulesFile:
    """One `rules*.toml` as it stands in its folder."""

    path: Path
    text: str


@dataclass(frozen=True)
class Skill:
    """A Skill with everything that it extends; `data` is skill.toml after merging."""

    name: str
    version: str
    folders: tuple[Path, ...]  # its own first, then what it extends
    data: Mapping[str, Any]
    rules: tuple[RulesFile, ...]  # base first: a later file of the same layout overrides rule by rule
    prose: str

    @property
    def components(self) -> Mapping[str, Mapping[str, Any]]:
        return self.data.get("components", {})

    @property
    def probes(self) -> Mapping[str, Any]:
        return self.data.get("probes", {})

    @property
    def keep(self) -> tuple[str, ...]:
        """Module patterns that quantization leaves alone."""
        return tuple(self.data.get("quantize", {}).get("keep", ()))

    @property
    def headroom(self) -> float | None:
        """The Skill's own headroom, or None for the built-in number."""
        value = self.data.get("tolerance", {}).get("headroom")
        return None if value is None else float(value)

    def slices(self) -> dict[str, str]:
        """Return the digest of each slice; comments and white space do not count."""
        parsed: dict[str, Any] = {name: self.data.get(name, {}) for name in SLICES if name != "rules"}
        parsed["rules"] = [tomli.loads(file.text) for file in self.rules]
        return {name: sha256_json(parsed[name]) for name in SLICES} | {"prose": sha256_text(self.prose)}


def roots(directory: Path) -> list[Path]:
    """Return the folders that may hold Skills, nearest first: `skills/` of `directory`, of its parents up to the
    repository's top, then the built-in ones."""
    found = []
    for parent in (directory, *directory.parents):
        if (parent / "skills").is_dir():
            found.append(parent / "skills")
        if (parent / ".git").exists():
            break
    else:  # not in a repository: only the port's own folder counts
        found = [directory / "skills"] if (directory / "skills").is_dir() else []
    built_in = data_dir("skills")
    return [*[f for f in found if f != built_in], built_in]


def available(directory: Path) -> dict[str, Path]:
    """Return every Skill that a port in `directory` can name, with its folder."""
    skills: dict[str, Path] = {}
    for root in roots(directory):
        for folder in sorted(root.iterdir()):
            if (folder / "skill.toml").is_file():
                skills.setdefault(folder.name, folder)
    return skills


def load_skill(name: str, directory: Path, *, asked_by: str = "") -> Skill:
    """Read the Skill `name` for a port in `directory`; raises PortError with every problem of its files."""
    return _load(name, roots(directory), asked_by or name, ())


def _load(name: str, places: list[Path], asked_by: str, seen: tuple[Path, ...]) -> Skill:
    folder = next(
        (root / name for root in places if (root / name / "skill.toml").is_file() and root / name not in seen), None
    )
    if folder is None:
        from .schema import nearest

        known = sorted({f.name for root in places for f in root.iterdir() if (f / "skill.toml").is_file()})
        close = nearest(name, known)
        hint = f"did you mean {close!r}?" if close else f"known Skills: {', '.join(known)}"
        raise PortError(Problem(asked_by, f"there is no Skill {name!r}", hint), ExitCode.USAGE)
    data = _read_toml(folder / "skill.toml")
    base = None
    if "extends" in data:
        base = _load(str(data["extends"]), places, f"{folder / 'skill.toml'}: extends", (*seen, folder))
    prose = folder / "SKILL.md"
    rules = tuple(RulesFile(path, _read(path)) for path in sorted(folder.glob("rules*.toml")))
    merged = _merge(base.data, data) if base else data
    return Skill(
        name=name,
        version=str(merged.get("version", "0")),
        folders=(folder, *(base.folders if base else ())),
        data=merged,
        rules=(*(base.rules if base else ()), *rules),
        prose=_read(prose) if prose.is_file() else "",
    )


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PortError(
            Problem(str(path), f"not UTF-8 text: {error.reason}", "save it as UTF-8"), ExitCode.USAGE
        ) from None
    except OSError as error:
        raise PortError(Problem(str(path), str(error.strerror)), ExitCode.USAGE) from None


def _read_toml(path: Path) -> dict[str, Any]:
    """Read and check skill.toml; a file that was found right before is not checked against its schema again."""
    from .validated import check_once

    text = _read(path)
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise PortError(Problem(str(path), f"not valid TOML: {error}"), ExitCode.USAGE) from None
    problems = check_once(data, "skill", str(path), text)
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return data
