"""A model repository whose heavy workers are stand-ins, and real `doit` to run in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .tiny import BERT, component

SUPPORT = Path(__file__).parent
PORT = """schema = 1
name = "{name}"
source = "file:weights"
skill = "bert"
"""
DODO = "import fakeworkers\n\nfakeworkers.install()\nfrom portwright.tasks import *\n"
STAGES = ("fetch", "codegen", "bind", "remap", "capture", "verify")


@dataclass(frozen=True)
class Said:
    """What `doit` said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def ran(self) -> set[str]:
        """The tasks that ran, of a run with --json."""
        return set(self.events[-1]["ran"])


class ModelRepo:
    """A git repository with one port, `tiny`, and a cache of its own."""

    def __init__(self, path: Path, cache: Path) -> None:
        self.path = path
        self.env = {**os.environ, "PORTWRIGHT_CACHE": str(cache), "PYTHONPATH": str(SUPPORT), "TERM": "dumb"}
        self.env.pop("NO_COLOR", None)
        subprocess.run(["git", "init", "-q", path], check=True)
        (path / "dodo.py").write_text(DODO)
        self.add_port("", "tiny")

    def add_port(self, folder: str, name: str) -> None:
        component(self.path / folder / "weights", BERT)
        (self.path / folder / "port.toml").write_text(PORT.format(name=name))

    def write(self, name: str, content: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def steer(self, **how: Any) -> None:
        """Tell the stand-ins how to behave (`fakeworkers`)."""
        self.write("fake.json", json.dumps(how))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", *words]

    def run(self, *words: str, folder: str = "", **env: str) -> Said:
        done = subprocess.run(
            self.command(*words), cwd=self.path / folder, env={**self.env, **env}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def doit(self, *words: str, **env: str) -> Said:
        return self.run("doit", *words, **env)

    def port(self, *words: str, **env: str) -> Said:
        """`doit port --json`: its `ran` says which tasks ran."""
        return self.run("doit", "port", "--json", *words, **env)

    def portwright(self, *words: str, **env: str) -> Said:
        return self.run("portwright", *words, **env)
