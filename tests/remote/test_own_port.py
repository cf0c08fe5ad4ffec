"""A model that brings its own code, ported by real `doit port`: with consent, pinned, and isolated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from ownrepo import CONFIG, SECRETS, OwnRepo

# At import, in the very processes of codegen and capture: no secret is known, no socket opens, no program starts.
WATCHFUL = f"""
import os as _os, socket as _socket, subprocess as _subprocess
assert not set({sorted(SECRETS)!r}) & set(_os.environ)
for _action in (_socket.socket, lambda: _subprocess.run(["true"]), lambda: open({{trace!r}}, "w")):
    try:
        _action()
    except PermissionError:
        continue
    raise AssertionError("it was let out")
"""


@pytest.fixture(scope="module")
def ported(tmp_path_factory: pytest.TempPathFactory) -> OwnRepo:
    """The finished port; its source's code is the watchful one."""
    top = tmp_path_factory.mktemp("own")
    repo = OwnRepo(top / "repo")
    repo.append(WATCHFUL.format(trace=str(top / "trace")))
    said = repo.run("doit", "port")
    assert said.returncode == 0, said.stdout + said.stderr
    assert not (top / "trace").exists()
    return repo


@pytest.fixture
def own(ported: OwnRepo) -> Iterator[OwnRepo]:
    """The finished port, whose source's files are put back after the test."""
    kept = ported.path.parent / "kept"
    shutil.copytree(ported.path, kept, symlinks=True)
    try:
        yield ported
    finally:
        shutil.rmtree(ported.path)
        kept.rename(ported.path)


def test_the_port_is_the_class_rewritten(ported: OwnRepo) -> None:
    """model.py holds the source's classes in MLX, its copyright and its comments, and passed every check."""
    text = (ported.path / "ported" / "model.py").read_text()

    assert "class OwnLayer(nn.Module):" in text
    assert "# Copyright 2026 the authors of this model" in text
    assert "# The first token has nothing before it." in text
    assert "import os" not in text and "torch" not in text.partition("class ModelArgs")[2]


def test_no_code_goes_beside_the_port(ported: OwnRepo) -> None:
    """The port's config names no code, and none is there."""
    config = json.loads((ported.path / "ported" / "config.json").read_text())

    assert "auto_map" in CONFIG and "auto_map" not in config
    assert [p.name for p in (ported.path / "ported").rglob("*.py")] == ["model.py", "model.py"]


def test_the_code_is_pinned(ported: OwnRepo) -> None:
    """port.lock holds the digest of each of its files."""
    files = json.loads((ported.path / "port.lock").read_text())["files"]

    assert {"configuration_own.py", "modeling_own.py"} < set(files)
    assert all(len(files[name]["sha256"]) == 64 for name in files)


def test_a_changed_byte_is_refused(own: OwnRepo) -> None:
    """The run stops at the source, with both digests, and nothing is imported."""
    own.append("# a word\n")
    said = own.run("doit", "port")

    assert said.returncode == 1
    assert "fetch:own:model failed" in said.stdout
    assert "modeling_own.py: its bytes are not the pinned ones: pinned sha256" in said.stdout


def test_a_file_that_came_later_is_refused(own: OwnRepo) -> None:
    """Code that the lock does not know is not run, though the pinned files are unchanged."""
    (own.path / "weights" / "later.py").write_text("")
    (own.path / ".portwright" / "receipts" / "fetch.own.model.json").unlink()
    said = own.run("doit", "port")

    assert said.returncode == 1
    assert "later.py: this code is not pinned" in said.stdout


def test_code_that_is_meant_to_change_is_run_again(own: OwnRepo) -> None:
    """With the lock gone the new bytes are fetched, and codegen and capture know that they depend on them."""
    own.append("# a word\n")
    (own.path / "port.lock").unlink()
    assert own.run("doit", "fetch").returncode == 0
    said = own.run("portwright", "plan").stdout

    assert "codegen:own:model: the source's code changed" in said
    assert "capture:own:model: the source's code changed" in said
    assert "bind:own:model" not in said
