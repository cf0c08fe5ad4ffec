"""file: sources: used where they lie, digested, and refused where they could change unseen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from portwright.errors import PortError
from portwright.sources import fetch, parse_source, peek
from wheels import tensor_file

BODY = tensor_file({"w": 50})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model beside a port.toml."""
    made = tmp_path / "repo" / "weights"
    (made / "sub").mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(BODY)
    (made / "sub" / "other.safetensors").write_bytes(tensor_file({"v": 3}))
    (made / ".git").mkdir()
    (made / ".git" / "config.json").write_text("{}")
    return made


def test_a_folder_is_used_in_place(folder: Path, cache: Path) -> None:
    """Files of a relative folder are digested where they are; hidden folders are no part of the model."""
    snapshot = fetch(parse_source("file:weights"), ("**/*",), cache=cache, base=folder.parent)
    assert snapshot.root == folder
    assert [f.path for f in snapshot.files] == ["config.json", "model.safetensors", "sub/other.safetensors"]
    assert snapshot.files[1].header_sha256
    assert not list(cache.rglob("*.safetensors"))


def test_a_single_file_is_a_source(folder: Path, cache: Path) -> None:
    """One .safetensors file is a source by itself, by its absolute path too."""
    ref = parse_source(f"file:{folder}/model.safetensors")
    snapshot = fetch(ref, ("*",), cache=cache, base=Path("/nowhere"))
    assert [f.path for f in snapshot.files] == ["model.safetensors"]
    assert list(peek(ref, cache=cache).headers["model.safetensors"]) == ["w"]


def test_the_revision_follows_the_bytes(folder: Path, cache: Path) -> None:
    """The revision changes with a wanted file's bytes, and not with a touch, a move or an unwanted file."""
    ref, wanted = parse_source("file:weights"), ("*.safetensors",)
    first = fetch(ref, wanted, cache=cache, base=folder.parent).revision
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "model.safetensors").touch()
    assert fetch(ref, wanted, cache=cache, base=folder.parent).revision == first
    moved = folder.parent.rename(folder.parents[1] / "moved")
    assert fetch(ref, wanted, cache=cache, base=moved).revision == first
    (moved / "weights" / "model.safetensors").write_bytes(tensor_file({"w": 50}, seed=1))
    assert fetch(ref, wanted, cache=cache, base=moved).revision != first


def test_bytes_that_are_not_the_pinned_ones_are_refused(folder: Path, cache: Path) -> None:
    """Weights that changed since they were pinned are named with both digests, whether or not their size did."""
    ref = parse_source("file:weights")
    first = fetch(ref, ("*",), cache=cache, base=folder.parent)
    pins = {f.path: f for f in first.files}
    assert fetch(ref, ("*",), cache=cache, base=folder.parent, pinned=pins) == first
    for body in (tensor_file({"w": 50}, seed=1), tensor_file({"w": 51})):
        (folder / "model.safetensors").write_bytes(body)
        with pytest.raises(PortError, match="not the pinned ones") as caught:
            fetch(ref, ("*",), cache=cache, base=folder.parent, pinned=pins)
        assert pins["model.safetensors"].sha256 in str(caught.value)


def test_an_intact_file_is_read_once(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second fetch trusts size and time."""
    ref = parse_source("file:weights")
    first = fetch(ref, ("*",), cache=cache, base=folder.parent)
    monkeypatch.setattr("portwright.sources.file.digest_file", lambda *a, **k: pytest.fail("a file was read"))
    assert fetch(ref, ("*",), cache=cache, base=folder.parent) == first


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside.json"])
def test_a_link_that_leaves_the_folder_is_refused(folder: Path, cache: Path, target: str) -> None:
    """A link out of the folder is refused by name, wanted or not."""
    (folder.parent / "outside.json").write_text("{}")
    (folder / "sub" / "link.json").symlink_to(target)
    with pytest.raises(PortError, match="leads out") as caught:
        fetch(parse_source("file:weights"), ("*.safetensors",), cache=cache, base=folder.parent)
    assert caught.value.problems[0].where == "sub/link.json"


def test_a_linked_folder_outside_is_refused(folder: Path, cache: Path, tmp_path: Path) -> None:
    """A folder cannot be smuggled in by a link either."""
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(PortError, match="leads out"):
        fetch(parse_source("file:weights"), ("*",), cache=cache, base=folder.parent)


def test_links_inside_are_followed_and_loops_end(folder: Path, cache: Path) -> None:
    """A link that stays inside names its file, and a link to a folder above does not go round for ever."""
    (folder / "alias.safetensors").symlink_to("model.safetensors")
    (folder / "sub" / "loop").symlink_to("..")
    snapshot = fetch(parse_source("file:weights"), ("*.safetensors",), cache=cache, base=folder.parent)
    assert [f.path for f in snapshot.files] == ["alias.safetensors", "model.safetensors"]


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_cut_file_is_refused(folder: Path, cache: Path, keep: int) -> None:
    """A .safetensors file that lacks bytes is named before any stage reads it."""
    (folder / "model.safetensors").write_bytes(BODY[:keep])
    with pytest.raises(PortError, match=r"model\.safetensors"):
        fetch(parse_source("file:weights"), ("*",), cache=cache, base=folder.parent)


@pytest.mark.parametrize(
    ("text", "said"), [("file:nothing", "no file or folder"), ("file:weights/config.json", "must be a .safetensors")]
)
def test_what_is_not_there_is_explained(folder: Path, cache: Path, text: str, said: str) -> None:
    """A missing folder and a file of another kind are told apart."""
    with pytest.raises(PortError, match=said):
        fetch(parse_source(text), ("*",), cache=cache, base=folder.parent)


def test_a_missing_package_is_named(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages of the extra `build` a fetch says what to install."""
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(PortError, match=r"portwright\[build\]"):
        fetch(parse_source("file:weights"), ("*",), cache=cache, base=folder.parent)


def test_pipes_are_no_files(folder: Path, cache: Path) -> None:
    """A named pipe is passed over, never opened."""
    os.mkfifo(folder / "pipe.json")
    snapshot = fetch(parse_source("file:weights"), ("*",), cache=cache, base=folder.parent)
    assert "pipe.json" not in [f.path for f in snapshot.files]
