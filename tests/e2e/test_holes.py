"""A hole from end to end, with real `doit port`: it blocks, a person fills it, and the fill survives what changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.model_repo import Said

NET = '''"""A small classifier, as a library has it."""

import torch
from torch import nn


class Doubt(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, width)

    def forward(self, x):
        shares = self.score(x).softmax(dim=-1)
        # no share, no doubt
        doubt = torch.special.entr(shares)
        return x * doubt


class Net(nn.Module):
    def __init__(self, width=8, classes=5):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.doubt = Doubt(width)
        self.last = nn.Linear(width, classes)

    def forward(self, x, mode="plain"):
        x = self.first(x)
        if mode == "centred":
            x = x - x.mean(dim=1, keepdim=True)
        return self.last(self.doubt(torch.relu(x)))
'''
PORT = """schema = 1
name = "doubt"
source = "file:weights"
skill = "doubt"

[components.model]
reference = "doubtlib:Net"
"""
SKILL = 'schema = 1\nversion = "1.0"\nextends = "generic"\n'
SKILL_MD = "---\nname: doubt\ndescription: A classifier that doubts.\n---\nNothing to say.\n"
DRAW = """
import json, torch
from doubtlib import Net
from safetensors.torch import save_file

torch.manual_seed(0)
save_file(dict(Net(width=12, classes=4).state_dict()), "weights/model.safetensors")
json.dump({"kwargs": {"width": 12, "classes": 4}}, open("weights/config.json", "w"))
"""
QUOTED = "doubt = torch.special.entr(shares)"
HOLE = f'        raise NotImplementedError("{QUOTED}")\n'
FILL = "        doubt = mx.where(shares > 0, -shares * mx.log(mx.maximum(shares, 1e-30)), 0.0)\n"


class Repo:
    """A model repository, and beside it the library that the reference comes from."""

    def __init__(self, top: Path) -> None:
        self.path, self.library = top / "repo", top / "library"
        before = os.environ.get("PYTHONPATH", "")
        self.env = {**os.environ, "PYTHONPATH": f"{self.library}{os.pathsep}{before}"}
        self.env["PORTWRIGHT_CACHE"] = str(top / "cache")
        self.model = self.path / "ported" / "model.py"

    def install(self, version: str, text: str) -> None:
        """Put this version of the library where Python finds it, as pip would."""
        shutil.rmtree(self.library, ignore_errors=True)
        about = self.library / f"doubtlib-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: doubtlib\nVersion: {version}\n")
        (self.library / "doubtlib.py").write_text(text)

    def run(self, *words: str) -> Said:
        done = subprocess.run(
            words, cwd=self.path, env=self.env, capture_output=True, text=True, timeout=600, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def port(self) -> Said:
        return self.run(sys.executable, "-m", "doit", "port", "--json")

    def gate(self) -> Said:
        """The pre-commit hook, on everything staged."""
        assert self.run("git", "add", "-A").code == 0
        return self.run(sys.executable, "-m", "portwright", "hook", "port-manifest")

    def edit(self, old: str, new: str) -> None:
        text = self.model.read_text()
        assert text.count(old) == 1, text
        self.model.write_text(text.replace(old, new))

    def holes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.path / "port.manifest.json").read_text())["holes"]
        return found


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A repository in which `doit port` has run for the first time, and what that said."""
    repo = Repo(tmp_path_factory.mktemp("holed"))
    repo.install("1.0", NET)
    files = {
        "port.toml": PORT,
        "skills/doubt/skill.toml": SKILL,
        "skills/doubt/SKILL.md": SKILL_MD,
        "dodo.py": "from portwright.tasks import *\n",
        ".gitignore": ".portwright/\n__pycache__/\n",
    }
    for name, text in files.items():
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / name).write_text(text)
    (repo.path / "weights").mkdir()
    assert repo.run(sys.executable, "-c", DRAW).code == 0
    assert repo.run("git", "init", "-q").code == 0
    return repo.path.parent, repo.port()


@pytest.fixture(scope="module")
def filled(holed: tuple[Path, Said], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A copy in which a person has filled the hole by hand, and `doit port` has run again."""
    top = tmp_path_factory.mktemp("filled")
    shutil.copytree(holed[0], top, symlinks=True, dirs_exist_ok=True)
    repo = Repo(top)
    repo.edit(HOLE, FILL)
    return top, repo.port()


@pytest.fixture
def repo(filled: tuple[Path, Said], tmp_path: Path) -> Repo:
    """A copy of the repository whose hole is filled."""
    shutil.copytree(filled[0], tmp_path / "copy", symlinks=True)
    return Repo(tmp_path / "copy")


def test_a_hole_raises_is_listed_and_blocks(holed: tuple[Path, Said]) -> None:
    """Code stands around it, its source in the error, its place in the manifest, and the gate names it."""
    repo, said = Repo(holed[0]), holed[1]
    assert said.code == 1
    text = repo.model.read_text()
    assert HOLE in text and "shares = mx.softmax(self.score(x), axis=-1)" in text
    assert [(h["where"], h["source"]) for h in repo.holes()] == [("Doubt.forward:15", QUOTED)]
    problems = [p for e in said.events for p in e.get("problems", ())]
    assert "Doubt.forward:15 is a hole" in problems[0]["problem"]
    blocked = repo.gate()
    assert blocked.code == 1 and "Doubt.forward:15: a hole is open" in blocked.out + blocked.err


def test_a_filled_hole_verifies_and_passes(filled: tuple[Path, Said]) -> None:
    """Only what depends on model.py runs again; then nothing does, and the person's line stays."""
    repo, said = Repo(filled[0]), filled[1]
    assert said.code == 0, said.out
    assert said.ran == {"verify:doubt:model", "port:doubt"}
    assert repo.holes() == []
    passed = repo.gate()
    assert passed.code == 0, passed.out
    assert repo.port().ran == set()
    assert FILL in repo.model.read_text()


def test_a_new_version_of_the_library_merges(repo: Repo) -> None:
    """Code that changed elsewhere comes in beside the fill, which is proved anew."""
    repo.install("1.1", NET.replace("return self.last(", "return 2 * self.last("))
    said = repo.port()
    assert said.code == 0, said.out
    assert "codegen:doubt:model" in said.ran
    text = repo.model.read_text()
    assert FILL in text and "return 2 * self.last(" in text
    assert repo.gate().code == 0


def test_a_version_that_changes_the_filled_statement_conflicts(repo: Repo) -> None:
    """Both stand between markers, which keep the port from being verified and committed until they are settled."""
    repo.install("2.0", NET.replace("torch.special.entr(shares)", "torch.special.entr(shares) + 1"))
    said = repo.port()
    assert said.code == 1
    text = repo.model.read_text()
    assert "<<<<<<< edited" in text and FILL in text and "torch.special.entr(shares) + 1" in text
    assert any("markers stand in lines" in p["problem"] for e in said.events for p in e.get("problems", ()))
    assert repo.gate().code == 1
    start, end = text.index("<<<<<<< edited"), text.index(">>>>>>> generated now")
    settled = FILL.replace(", 0.0)", ", 0.0) + 1")
    repo.model.write_text(text[:start] + settled + text[end:].partition("\n")[2])
    said = repo.port()
    assert said.code == 0, said.out
    assert repo.gate().code == 0


def test_a_changed_skill_merges(repo: Repo) -> None:
    """A probe that the Skill gains brings code in that no run had reached, beside the fill."""
    skill = repo.path / "skills" / "doubt" / "skill.toml"
    skill.write_text(SKILL + '\n[probes.model]\nmode = "centred"\n')
    assert "x - mx.mean(" not in repo.model.read_text()
    said = repo.port()
    assert said.code == 0, said.out
    text = repo.model.read_text()
    assert FILL in text and "x - mx.mean(" in text
    assert repo.gate().code == 0
