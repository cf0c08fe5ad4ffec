"""A synthetic port in a real git repository, its committed files built by portwright's own functions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli
from portwright import canonical, evidence, inputs
from portwright.gate.gate import Judgement, run_gate
from portwright.skill import load_skill

D = "sha256:" + "d" * 64
PORT = """schema = 1
name = "{name}"
source = "pypi:tiny=={version}"
skill = "tiny"
[components.model]
path = "tiny/model"
reference = "tinymodels:Tiny"
kind = "encoder"
"""
MODEL = "import mlx.core as mx\n\n\nclass Model:\n    pass\n"


class PortRepo:
    """A git repository with ports; `path` is its top."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q", "-b", "main")
        self.write("skills/tiny/skill.toml", 'schema = 1\nversion = "1.0"\n')
        self.write("skills/tiny/SKILL.md", "---\nname: tiny\ndescription: A test.\n---\nProse.\n")

    def git(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"git {arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def edit(self, name: str, change: Callable[[Any], object], *, reseal: bool = False) -> None:
        """Change one JSON file in place; `reseal` makes its seal right again, as a forger would."""
        body = self.json(name)
        change(body)
        if reseal:
            body = canonical.sealed(body)
        self.write(name, canonical.dumps(body))

    def rebind(self, folder: str = "") -> None:
        """Point the evidence at the manifest as it is now and seal it again: the forger's last step."""
        digest = canonical.sha256_text(self.read(f"{folder}port.manifest.json"))
        self.edit(f"{folder}port.evidence.json", lambda body: body.update(manifest=digest), reseal=True)

    def add_port(self, folder: str = "", name: str = "minilm", **options: Any) -> None:
        """Write everything that `doit port` leaves behind, and prove it with figures that pass."""
        self.write(f"{folder}port.toml", options.get("toml") or PORT.format(name=name, version="1.0"))
        self.write(f"{folder}ported/model.py", options.get("model", MODEL))
        self.write(f"{folder}ported/.base/model.py", MODEL)
        self.write(f"{folder}ported/config.json", canonical.dumps({"hidden_size": 4}))
        portmap = {"schema": 1, "params": {}, "modules": {}, "holes": options.get("portmap_holes", [])}
        self.write(f"{folder}ported/portmap.json", canonical.dumps(portmap))
        self.lock(folder, **options.get("facts", {}))
        self.prove(folder, **options.get("prove", {}))

    def lock(self, folder: str = "", **facts: Any) -> None:
        port = tomli.loads(self.read(f"{folder}port.toml"))
        skill = load_skill(port["skill"], (self.path / folder).resolve())
        component = {
            "path": "tiny/model",
            "reference": "tinymodels:Tiny",
            "facts": {
                "class": "tinymodels:Tiny",
                "kind": "encoder",
                "parameters": 3,
                "config": D,
                "modules": ["embed", "layer.0", "layer.1"],
                "exempt": {},
                "traits": ["long"],
                **({"quantize": port["quantize"]} if "quantize" in port else {}),
                **facts,
            },
        }
        files = {"tiny/model/config.json": {"revision": "1.0", "size": 2, "sha256": "e" * 64}}
        names = port.get("components", {"model": {}})
        body = {
            "schema": 1,
            "source": port["source"],
            "revision": "1.0",
            "files": files,
            "components": dict.fromkeys(names, component),
            "skill": {"name": skill.name, "version": skill.version, "slices": skill.slices()},
        }
        self.write(f"{folder}port.lock", canonical.dumps(body))

    def measurements(self, folder: str = "", device: str = "cpu", **changes: Any) -> list[dict[str, Any]]:
        """Give raw figures for each required check; `changes` replace a check's entry, or leave it out with None."""
        lock = self.json(f"{folder}port.lock")
        budget = tomli.loads(self.read(f"{folder}port.toml")).get("quantize", {}).get("budget", {})
        found: list[dict[str, Any]] = []
        for component in lock["components"]:
            checks, not_run = {}, []
            for full in evidence.required_checks(lock):
                owner, _, check = full.partition("/")
                if owner != component:
                    continue
                entry = {**_entry(check, budget), **(changes.get(check) or {})}
                if check in changes and changes[check] is None:
                    not_run.append({"check": check, "why": "the probe needs torch"})
                else:
                    checks[check] = entry
            env = {"portwright": "0.1.0", "mlx": "0.32.4", "torch": "2.13.0", "os": "linux-x86_64"}
            found.append({"component": component, "device": device, "env": env, "checks": checks, "not_run": not_run})
        return found

    def prove(self, folder: str = "", **options: Any) -> evidence.Proof:
        port = tomli.loads(self.read(f"{folder}port.toml"))
        lock = self.json(f"{folder}port.lock")
        golden = dict.fromkeys(lock["components"], options.get("golden", D))
        weights = options.get("weights", {"model.safetensors": D})
        bound = inputs.inputs_on_disk(self.path / folder, port, golden, weights)
        measured = self.measurements(folder, options.get("device", "cpu"), **options.get("changes", {}))
        keywords = {key: options[key] for key in ("holes", "headroom", "refresh") if key in options}
        return evidence.prove(self.path / folder, port["name"], lock, bound, measured, **keywords)

    def count(self, folder: str = "") -> int:
        """The number of checks that the port must pass."""
        return len(evidence.required_checks(self.json(f"{folder}port.lock")))

    def distances(self) -> int:
        """The number of checks whose tolerance has a headroom."""
        checks = self.json("port.evidence.json")["runs"]["cpu"]["checks"].values()
        return sum(entry["metric"] == "rel_l2" for entry in checks)

    def gate(self, *only: str, environ: dict[str, str] | None = None) -> Judgement:
        return run_gate(self.path, environ or {}, only)

    def commit(self, message: str = "change") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)


def _entry(check: str, budget: dict[str, float]) -> dict[str, Any]:
    kind = check.split("/")[0]
    if kind == "speed":
        return {"metric": "seconds", "value": 0.012, "noise": 0.0, "origin": "clock"}
    if check == "isolate/share":
        return {"metric": "uncovered_share", "value": 0.0, "noise": 0.1, "origin": "tolerance.toml"}
    if kind in ("coverage", "bijection", "dtype", "determinism", "sensitivity"):
        return {"metric": "mismatches", "value": 0.0, "noise": 0.0, "origin": "exact"}
    if kind == "quantization":
        name = check.split("/")[1]
        wanted = budget.get(name, 0.25)
        metric, limit = ("top1_disagreement", 1 - wanted) if name == "top1" else (name, wanted)
        metric = "rel_l2" if name == "layers" else metric
        return {"metric": metric, "value": limit / 3, "noise": limit, "origin": "budget"}
    return {"metric": "rel_l2", "value": 2.13e-7, "noise": 1.1e-7, "origin": "fp64"}
