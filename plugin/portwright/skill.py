"""Find a Skill and read its data: the repo's own `skills/` first, then the built-in ones.

A Skill is a folder: `SKILL.md` (prose for whoever follows it), `skill.toml` (components, probes, quantization) and
`rules*.toml` (one per checkpoint layout). `extends` starts from another Skill's data; a table of the same name is
merged key by key, a rule with the same `match` in the same layout is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .canonical import sha256_json, sha256_text
from .errors import ExitCode, PortError, Problem
from .resources import data_dir
from .tomltext import parse, read_text
from .validated import check_once, problems_once

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_T = TypeVar("_T")
SLICES = ("components", "probes", "quantize", "rules", "tolerance")  # what can make a stage run again


@dataclass(frozen=True)
class RulesFile:
    """One `rules*.toml` as it stands in its folder; `data` is its parsed content."""

    path: Path
    text: str
    data: Mapping[str, Any]


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
        found: Mapping[str, Mapping[str, Any]] = self.data.get("components", {})
        return found

    @property
    def probes(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data.get("probes", {})
        return found

    @property
    def gguf(self) -> Mapping[str, Any]:
        """How the metadata of a GGUF file is read; empty where the Skill reads none."""
        found: Mapping[str, Any] = self.data.get("gguf", {})
        return found

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
        parsed["rules"] = [file.data for file in self.rules]
        if self.gguf:
            parsed["gguf"] = self.gguf
        return {name: sha256_json(value) for name, value in parsed.items()} | {"prose": sha256_text(self.prose)}


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
    """Read the Skill `name` for a port in `directory`; raises PortError (USAGE) with every problem of its files."""
    return _load(name, roots(directory), asked_by or name, ())


def _load(name: str, places: list[Path], asked_by: str, seen: tuple[Path, ...]) -> Skill:
    folder = _find(name, places, asked_by, seen)
    problems: list[Problem] = []
    data = _skill_toml(folder / "skill.toml", problems)
    rules = [_rules_toml(path, problems) for path in sorted(folder.glob("rules*.toml"))]
    prose = _collect(problems, lambda: read_text(folder / "SKILL.md")) if (folder / "SKILL.md").is_file() else ""
    base = None
    if isinstance(extends := data.get("extends"), str) and NAME.fullmatch(extends):
        from .schema import where

        text = (folder / "skill.toml").read_text(encoding="utf-8")
        asked = where(str(folder / "skill.toml"), ["extends"], text)
        base = _collect(problems, lambda: _load(extends, places, asked, (*seen, folder)))
    if problems:
        from .schema import in_line_order

        raise PortError(in_line_order(problems), ExitCode.USAGE)
    merged = _merge(base.data, data) if base else data
    return Skill(
        name=name,
        version=str(merged.get("version", "0")),
        folders=(folder, *(base.folders if base else ())),
        data=merged,
        rules=(*(base.rules if base else ()), *(file for file in rules if file)),
        prose=prose or "",
    )


def _find(name: str, places: list[Path], asked_by: str, seen: tuple[Path, ...]) -> Path:
    """Return the nearest folder of the Skill `name` that is not already being read: a Skill may extend the built-in
    one of its own name."""
    folders = [root / name for root in places if NAME.fullmatch(name) and (root / name / "skill.toml").is_file()]
    folder = next((folder for folder in folders if folder not in seen), None)
    if folder is not None:
        return folder
    if folders:
        circle = " -> ".join([*(f.name for f in seen[seen.index(folders[0]) :]), name])
        raise PortError(Problem(asked_by, f"Skills extend each other in a circle: {circle}",
                                "remove one `extends`"), ExitCode.USAGE)  # fmt: skip
    from .schema import nearest

    known = sorted({f.name for root in places for f in root.iterdir() if (f / "skill.toml").is_file()})
    close = nearest(name, known)
    listed = f"known Skills: {', '.join(known)}"
    hint = f"did you mean {close!r}? {listed[0].upper()}{listed[1:]}" if close else listed
    raise PortError(Problem(asked_by, f"there is no Skill {name!r}", hint), ExitCode.USAGE)


def _collect(problems: list[Problem], read: Callable[[], _T]) -> _T | None:
    """Return what `read` reads, or None with its problems noted."""
    try:
        return read()
    except PortError as error:
        problems += error.problems
        return None


def _skill_toml(path: Path, problems: list[Problem]) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        text = read_text(path)
        data = parse(text, str(path))
        problems.extend(check_once(data, "skill", str(path), text))
        return data

    return _collect(problems, read) or {}


def _rules_toml(path: Path, problems: list[Problem]) -> RulesFile | None:
    def read() -> RulesFile:
        text = read_text(path)
        data = parse(text, str(path))

        def find() -> list[Problem]:
            from .rules.load import parse_rules

            found: list[Problem] = []
            _collect(found, lambda: parse_rules(text.encode(), str(path)))
            return found

        problems.extend(problems_once("rules file", text, find))
        return RulesFile(path, text, data)

    return _collect(problems, read)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
