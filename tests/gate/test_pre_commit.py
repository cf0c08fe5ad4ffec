"""The gate as people meet it: through real pre-commit, in a real repository, on commit, merge and push."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from portrepo import MODEL, PortRepo

TOP = Path(__file__).parents[2]
PACKAGE = ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml", "plugin", "skills", "schemas")
CONFIG = """default_install_hook_types: [pre-commit, pre-merge-commit, pre-push]
repos:
  - repo: {repo}
    rev: {rev}
    hooks:
      - id: port-manifest
"""
OTHERS = "      - id: port-spec\n      - id: port-skill\n"


@pytest.fixture(scope="module")
def hook_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the package as it lies here, for pre-commit to clone and install."""
    folder = tmp_path_factory.mktemp("portwright")
    for name in PACKAGE:
        source = TOP / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, folder / name)
    run = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "-m", "portwright"]):
        subprocess.run([*run, *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def pre_commit_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the module: the hooks' environment is installed once."""
    return tmp_path_factory.mktemp("pre-commit-home")


@pytest.fixture
def guarded(port: PortRepo, hook_repo: Path, pre_commit_home: Path, monkeypatch: pytest.MonkeyPatch) -> PortRepo:
    """A repository with one good port, staged, in which `pre-commit install` was run."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(pre_commit_home))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    rev = subprocess.run(["git", "rev-parse", "HEAD"], cwd=hook_repo, capture_output=True, text=True, check=True)
    port.write(".pre-commit-config.yaml", CONFIG.format(repo=hook_repo, rev=rev.stdout.strip()))
    port.git("add", "-A")
    pre_commit(port, "install")
    return port


def pre_commit(port: PortRepo, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pre_commit", *words]
    return subprocess.run(command, cwd=port.path, capture_output=True, text=True, check=False)


def git(port: PortRepo, *words: str) -> tuple[bool, str]:
    """Run git and tell whether it did what was asked, and what it and the hooks said."""
    done = subprocess.run(["git", *words], cwd=port.path, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def mend(port: PortRepo, comment: str) -> None:
    """Edit model.py and do what `doit port` does afterwards."""
    port.write("ported/model.py", MODEL + f"# {comment}\n")
    port.prove()


def test_commit_is_let_through_or_blocked_with_the_reason(guarded: PortRepo) -> None:
    """A proven port is committed by all three hooks, "metal: not run" said; an edited figure blocks the next commit."""
    guarded.write(".pre-commit-config.yaml", guarded.read(".pre-commit-config.yaml") + OTHERS)
    guarded.git("add", "-A")
    passed, said = git(guarded, "commit", "-m", "a proven port")
    assert passed, said
    assert f"minilm: {guarded.count()} checks hold on cpu; metal: not run" in said
    assert said.count("Passed") == 3
    guarded.edit(
        "port.evidence.json",
        lambda body: body["runs"]["cpu"]["checks"]["model/isolate/layer.0"].update(value="1.0e-07"),
    )
    passed, said = git(guarded, "commit", "-a", "-m", "a better figure")
    assert not passed
    assert (
        "port.evidence.json: seal: it was edited: its seal is of another content "
        "(runs: cpu: checks: model/isolate/layer.0: value was '2.1e-07' and is '1.0e-07')\n"
        "    fix: doit port:minilm, then git add port.* ported\n"
    ) in said
    assert guarded.git("rev-list", "--count", "HEAD").strip() == "1"


def test_what_is_staged_counts_and_not_what_lies_on_disk(guarded: PortRepo) -> None:
    """A good working tree does not excuse a bad index."""
    git(guarded, "commit", "-m", "a proven port")
    guarded.write("ported/model.py", MODEL + "# bad\n")
    guarded.git("add", "-A")
    guarded.write("ported/model.py", MODEL)
    passed, said = git(guarded, "commit", "-m", "bad")
    assert not passed
    assert "ported/model.py: it changed after it was measured" in said


def test_partial_commit_is_judged_by_what_it_commits(guarded: PortRepo) -> None:
    """`git commit FILE` leaves the rest behind: half a change is blocked, another file goes through."""
    git(guarded, "commit", "-m", "a proven port")
    mend(guarded, "mended")
    guarded.write("NOTES.md", "notes\n")
    guarded.git("add", "-A")
    passed, said = git(guarded, "commit", "-m", "half", "ported/model.py")
    assert not passed
    assert "ported/model.py: it changed after it was measured" in said
    assert "fix: what is staged would pass: commit without naming files, or name the port's other files too" in said
    passed, said = git(guarded, "commit", "-m", "notes", "NOTES.md")
    assert passed, said
    passed, said = git(guarded, "commit", "-m", "whole")
    assert passed, said


def test_merge_commit_is_judged_by_what_it_merges(guarded: PortRepo) -> None:
    """Two branches that are each in order can merge without conflict into a stale port."""
    git(guarded, "commit", "-m", "a proven port")
    guarded.git("checkout", "-q", "-b", "second-port")
    guarded.add_port("vit/", name="vit")
    guarded.git("add", "-A")
    passed, said = git(guarded, "commit", "-m", "a second port")
    assert passed, said
    guarded.git("checkout", "-q", "main")
    guarded.write("skills/tiny/skill.toml", 'schema = 1\nversion = "1.1"\n[tolerance]\nheadroom = 20\n')
    guarded.lock()
    guarded.prove(headroom=20)
    guarded.git("add", "-A")
    passed, said = git(guarded, "commit", "-m", "a looser Skill")
    assert passed, said
    assert f"cpu: {guarded.distances()} checks loosened ×1.25" in said
    passed, said = git(guarded, "merge", "--no-edit", "second-port")
    assert not passed
    assert (
        "vit/port.lock: skill: made with tiny 1.0 of portwright 0.1.0; skills/tiny is now 1.1, with other tolerance"
        in said
    )
    assert "fix: doit port:vit, then git add vit" in said
    guarded.lock("vit/")
    guarded.prove("vit/", headroom=20)
    guarded.git("add", "-A")
    passed, said = git(guarded, "commit", "--no-edit")
    assert passed, said


def test_push_is_judged_by_the_commit_that_leaves(guarded: PortRepo, tmp_path: Path) -> None:
    """A root commit and a later one are judged as pushed, whatever was committed past the hook or lies here since."""
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "remote.git")], check=True)
    guarded.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    evidence = guarded.read("port.evidence.json")
    guarded.write("port.evidence.json", evidence.replace("2.1e-07", "1.0e-07", 1))
    guarded.git("add", "-A")
    guarded.git("commit", "-q", "--no-verify", "-m", "bad root")
    guarded.write("port.evidence.json", evidence)
    guarded.git("add", "-A")
    passed, said = git(guarded, "push", "origin", "main")
    assert not passed
    assert "port.evidence.json: seal: it was edited" in said
    assert "then git add port.* ported, commit, and push again" in said
    passed, said = git(guarded, "commit", "-m", "mended")
    assert passed, said
    passed, said = git(guarded, "push", "origin", "main")
    assert passed, said
    guarded.git("rm", "-q", "port.lock")
    guarded.git("commit", "-q", "--no-verify", "-m", "bad")
    passed, said = git(guarded, "push", "origin", "HEAD:refs/heads/other")
    assert not passed
    assert "port.lock: it is missing from commit" in said


def test_try_repo_works_from_a_clone(guarded: PortRepo, hook_repo: Path) -> None:
    """`pre-commit try-repo` tries the gate on a repository that has not configured it."""
    done = pre_commit(guarded, "try-repo", str(hook_repo), "port-manifest", "--verbose", "--all-files")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"minilm: {guarded.count()} checks hold on cpu; metal: not run" in done.stdout
