"""port.toml -> PortSpec: every problem of the file in one run, with its key path, line and likely fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import ExitCode, PortError, Problem
from .records import ComponentSpec, GoldenSource, PortSpec, QuantizeSpec, SourceRef
from .skill import NAME, Skill, load_skill
from .tomltext import parse, read_text
from .validated import check_once

FILE = "port.toml"
# mx.quantize: the micro-scaling modes fix both numbers.
_FIXED = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}
_SMALLEST_GROUP = 16  # the schema allows it for nvfp4


def load_port(path: Path, text: str | None = None) -> PortSpec:
    """Read a port.toml and the component defaults of its Skill.

    `text` stands in for the file's content (the gate passes the staged blob). Raises PortError (USAGE) with every
    problem.
    """
    shown = path.name
    text = read_text(path) if text is None else text.removeprefix("\ufeff")
    data = parse(text, shown)
    problems = check_once(data, "port", shown, text)
    directory = path.parent
    checker = _Checker(shown, text, data, directory)
    source = checker.source(["source"], data.get("source"))
    skill = checker.skill(directory)
    components = checker.components(skill)
    quantize = checker.quantize(skill)
    problems = [*problems, *checker.problems]
    if problems:
        from .schema import in_line_order

        raise PortError(in_line_order(problems), ExitCode.USAGE)
    assert source is not None
    out = data.get("out", {})
    return PortSpec(
        directory=directory,
        file=path,
        name=data["name"],
        source=source,
        skill=data["skill"],
        runtime=data.get("runtime", "standalone"),
        dtype=data.get("dtype", "float32"),
        components=components,
        out=out.get("path", "ported"),
        commit_code=out.get("commit_code", True),
        max_shard_bytes=_bytes(out.get("max_shard_size", "5GB")),
        quantize=quantize,
        gate=data.get("gate", {}).get("require", "evidence"),
        raw=data,
    )


def _bytes(size: str) -> int:
    """Read `5GB` as the ecosystem's writers do: powers of ten."""
    return int(size[:-2]) * {"MB": 10**6, "GB": 10**9}[size[-2:]]


class _Checker:
    """Collects what JSON Schema cannot say; every method survives a file that already failed its schema."""

    def __init__(self, file: str, text: str, data: Mapping[str, Any], directory: Path) -> None:
        self.file, self.text, self.data, self.directory = file, text, data, directory
        self.problems: list[Problem] = []

    def add(self, path: list[str | int], problem: str, hint: str = "") -> None:
        from .schema import where

        self.problems.append(Problem(where(self.file, path, self.text), problem, hint))

    def table(self, key: str) -> Mapping[str, Any]:
        value = self.data.get(key, {})
        return value if isinstance(value, Mapping) else {}

    def source(self, path: list[str | int], text: object) -> SourceRef | None:
        if not isinstance(text, str) or not text:
            return None  # the schema has said so
        from .sources import parse_source

        try:
            return parse_source(text)
        except PortError as error:
            for problem in error.problems:
                self.add(path, problem.problem, problem.hint)
            return None

    def skill(self, directory: Path) -> Skill | None:
        name = self.data.get("skill")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            return None  # the schema has said so
        try:
            return load_skill(name, directory.resolve(), asked_by="skill")
        except PortError as error:
            for problem in error.problems:
                if problem.where == "skill":
                    self.add(["skill"], problem.problem, problem.hint)
                else:
                    self.problems.append(problem)
            return None

    def components(self, skill: Skill | None) -> tuple[ComponentSpec, ...]:
        own = self.table("components")
        defaults = skill.components if skill else {}
        names = list(own) or list(defaults)
        if skill and not names:
            self.add(["components"], f"neither this file nor the Skill {skill.name!r} names a component",
                     "add [components.model] with reference = \"module:Class\"")  # fmt: skip
        found = []
        for name in names:
            table = own.get(name, {})
            if not isinstance(table, Mapping):
                continue
            merged = {**defaults.get(name, {}), **table}
            if skill and "reference" not in merged:
                self.add(["components", name], "no reference class is known for this component",
                         'add reference = "module:Class"')  # fmt: skip
            golden = None
            if isinstance(merged.get("golden"), Mapping):
                source = self.source(["components", name, "golden", "source"], merged["golden"].get("source"))
                golden = GoldenSource(source, str(merged["golden"].get("path", ""))) if source else None
            found.append(
                ComponentSpec(
                    name=name,
                    path=str(merged.get("path", "")).strip("/"),
                    reference=str(merged.get("reference", "")),
                    kind=str(merged.get("kind", "module")),
                    golden=golden,
                    file=str(merged.get("file", "")),
                    prompts=tuple(map(str, prompts)) if isinstance(prompts := merged.get("prompts"), list) else (),
                    remote_code=told
                    if isinstance(told := table.get("remote_code"), bool)
                    else None,  # no Skill's to say
                )
            )
        return tuple(found)

    def quantize(self, skill: Skill | None) -> QuantizeSpec | None:
        if "quantize" not in self.data:
            return None
        table = self.table("quantize")
        if table.get("source") is True:
            return self.kept(table, skill)
        if "bits" not in table and isinstance(self.data.get("quantize"), Mapping):
            self.add(["quantize"], "the key 'bits' is missing", "add bits = 4, or source = true")
        bits, mode = table.get("bits"), table.get("mode", "affine")
        if not isinstance(bits, int) or not isinstance(mode, str):
            return None
        group = table.get("group_size", _FIXED.get(mode, (0, 64))[1])
        if mode in _FIXED and (bits, group) != _FIXED[mode]:
            want = _FIXED[mode]
            self.add(["quantize"], f"mode {mode!r} does not take bits = {bits} with group_size = {group}",
                     f"use bits = {want[0]}, group_size = {want[1]}")  # fmt: skip
        if mode == "affine" and group == _SMALLEST_GROUP:
            hint = "use 32, 64 or 128; only mode 'nvfp4' has groups of 16"
            self.add(["quantize", "group_size"], f"mode 'affine' does not take group_size = {group}", hint)
        keep = table.get("keep", skill.keep if skill else ())
        budget = table.get("budget", {})
        if not (isinstance(group, int) and isinstance(keep, Sequence) and isinstance(budget, Mapping)):
            return None  # the schema has said so
        return QuantizeSpec(bits, group, mode, dict(budget), tuple(keep))

    def kept(self, table: Mapping[str, Any], skill: Skill | None) -> QuantizeSpec | None:
        """`source = true`: the numbers are the source's, and its scales stay exact in float32 only."""
        for key in ("bits", "group_size", "mode"):
            if key in table:
                self.add(["quantize", key], f"source = true takes {key} from the source", f"remove {key}, or source")
        if self.data.get("dtype", "float32") != "float32":
            self.add(["dtype"], "source = true keeps scales and biases in float32, where they are exact",
                     'write dtype = "float32", or bits and group_size instead of source')  # fmt: skip
        keep = table.get("keep", skill.keep if skill else ())
        budget = table.get("budget", {})
        if not (isinstance(keep, Sequence) and isinstance(budget, Mapping)):
            return None  # the schema has said so
        return QuantizeSpec(0, 0, "source", dict(budget), tuple(keep), source=True)
