"""Wheels: whole ones are unpacked as RECORD states, hostile and damaged ones are refused before anything is written."""

from __future__ import annotations

import hashlib
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from portwright.errors import ExitCode, PortError
from portwright.sources.wheel import open_wheel
from wheels import FILES, build_wheel, record_row


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # past ZipInfo's own tidying
    info.external_attr = mode << 16
    return info


def hostile(tmp_path: Path, name: str, body: bytes = b"x", mode: int = 0, listed: bool = True) -> Path:
    rows = [record_row(name, body)] if listed else []
    return build_wheel(tmp_path, FILES, extra=[(entry(name, mode), body)], rows=rows)


def refused(file: Path) -> str:
    with pytest.raises(PortError) as caught:
        open_wheel(file)
    assert caught.value.code == ExitCode.SOURCE
    assert all("do not use this wheel" in p.hint for p in caught.value.problems)
    return "\n".join(map(str, caught.value.problems))


def test_an_honest_wheel_gives_its_files(wheel: Path, tmp_path: Path) -> None:
    """A file comes out with the bytes that went in, and with their digests."""
    opened = open_wheel(wheel)
    path = "tiny_model/model/model.safetensors"
    digests = opened.extract(path, tmp_path / "out" / path, tmp_path / "tmp", lambda n: None)
    body = FILES[path]
    assert (tmp_path / "out" / path).read_bytes() == body
    assert digests.sha256 == hashlib.sha256(body).hexdigest()
    assert digests.header_sha256 == hashlib.sha256(body[8 : 8 + int.from_bytes(body[:8], "little")]).hexdigest()
    assert opened.version == "1.2.3"
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_longer_hashes_of_record_are_checked_too(tmp_path: Path, algorithm: str) -> None:
    """RECORD may state sha384 or sha512; the file is held against them."""
    opened = open_wheel(build_wheel(tmp_path, FILES, algorithm=algorithm))
    path = "tiny_model/model/config.json"
    opened.extract(path, tmp_path / "out", tmp_path / "tmp", lambda n: None)
    assert (tmp_path / "out").read_bytes() == FILES[path]


@pytest.mark.parametrize("name", ["../../evil.py", "tiny_model/../../evil", "/etc/evil", "C:/evil", "a\\..\\evil"])
def test_names_that_escape_are_refused(tmp_path: Path, name: str) -> None:
    """A wheel with a name that leaves its folder is refused whole, although RECORD lists the file."""
    assert "this entry" in refused(hostile(tmp_path, name))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    """A wheel with an entry that is no plain file is refused."""
    said = refused(hostile(tmp_path, "tiny_model/link", b"/etc/passwd", kind | 0o777))
    assert "symbolic link" in said or "neither a file nor a folder" in said


@pytest.mark.parametrize("second", ["tiny_model/model/config.json", "tiny_model/model/CONFIG.json"])
def test_doubled_names_are_refused(tmp_path: Path, second: str) -> None:
    """Two entries of one name, or names that fall together on a case-blind disk, are refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "differ in case only" in refused(hostile(tmp_path, second, FILES["tiny_model/model/config.json"]))


def test_a_file_used_as_a_folder_is_refused(tmp_path: Path) -> None:
    """An entry below another entry that is a file is refused."""
    assert "which is a file" in refused(hostile(tmp_path, "tiny_model/__init__.py/x"))


def test_a_file_that_record_does_not_list_is_refused(tmp_path: Path) -> None:
    """A smuggled file is refused."""
    assert "RECORD does not list" in refused(hostile(tmp_path, "tiny_model/extra.bin", listed=False))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{name},sha256=,19", ""),
        ("{name},,18", "gives no sha256"),
        ("{name},md5=AAAA,18", "gives no sha256"),
        ("{name},sha256=AAAA,18", "RECORD says 18 bytes"),
        ("{name},sha256=AAAA,", "RECORD says no bytes"),
        ("{name}", "malformed"),
    ],
)
def test_a_weak_or_contradicting_record_is_refused(tmp_path: Path, row: str, said: str) -> None:
    """RECORD must give every file's size and a strong digest."""
    name = "tiny_model/model/config.json"
    file = build_wheel(tmp_path, FILES, replace={name: row.format(name=name)})
    if said:
        assert said in refused(file)
    else:  # an empty digest equals none: found when the file is unpacked
        with pytest.raises(PortError, match="not the ones that the wheel lists"):
            open_wheel(file).extract(name, tmp_path / "out", tmp_path / "tmp", lambda n: None)


def test_bytes_that_differ_from_record_never_get_their_name(tmp_path: Path) -> None:
    """A file whose hash is not RECORD's is refused while it is unpacked, and leaves nothing behind."""
    name = "tiny_model/model/config.json"
    file = build_wheel(tmp_path / "w", FILES, replace={name: record_row(name, b'{"hidden_size": 5}\n')})
    with pytest.raises(PortError, match="not the ones that the wheel lists"):
        open_wheel(file).extract(name, tmp_path / "out", tmp_path / "tmp", lambda n: None)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "tmp").iterdir())


def test_a_bomb_is_refused_unopened(tmp_path: Path) -> None:
    """An entry that claims to inflate further than deflate can is refused without inflating it."""
    file = hostile(tmp_path, "tiny_model/zeros", b"\0" * 5000)
    raw = bytearray(file.read_bytes())
    at = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"tiny_model/zeros"))
    raw[at + 24 : at + 28] = (1 << 31).to_bytes(4, "little")  # the size in the central directory
    file.write_bytes(bytes(raw))
    assert "inflate further" in refused(file)


def test_an_entry_that_says_less_than_it_holds_is_cut_off_and_refused(tmp_path: Path) -> None:
    """A stream that goes on after its stated size yields no more than that, and then fails its digest."""
    body = b"\0" * 5000
    file = hostile(tmp_path / "w", "tiny_model/zeros", body)
    raw = bytearray(file.read_bytes())
    at = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"tiny_model/zeros"))
    raw[at + 24 : at + 28] = (100).to_bytes(4, "little")
    file.write_bytes(bytes(raw))
    assert "RECORD says 5000 bytes" in refused(file)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_cut_wheel_is_refused(wheel: Path, keep: float) -> None:
    """A wheel whose end is missing is not a zip file, and no traceback."""
    raw = wheel.read_bytes()
    wheel.write_bytes(raw[: int(keep if keep > 1 else keep * len(raw))])
    assert "not a whole zip file" in refused(wheel)


def test_a_flipped_byte_is_found(wheel: Path, tmp_path: Path) -> None:
    """Damage inside a packed file is found by the archive's or RECORD's digest."""
    name = "tiny_model/model/model.safetensors"
    info = zipfile.ZipFile(wheel).getinfo(name)
    raw = bytearray(wheel.read_bytes())
    raw[info.header_offset + 30 + len(name) + info.compress_size // 2] ^= 0x10
    wheel.write_bytes(bytes(raw))
    with pytest.raises(PortError, match=r"damaged|not the ones"):
        open_wheel(wheel).extract(name, tmp_path / "out", tmp_path / "tmp", lambda n: None)
    assert not (tmp_path / "out").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    harm=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(1, 255)), max_size=4),
    end=st.sampled_from([1.0, 1.0, 1.0, 0.97, 0.6]),
    index_only=st.booleans(),
)
def test_no_damage_passes_unseen(
    wheel: Path, tmp_path: Path, harm: list[tuple[float, int]], end: float, index_only: bool
) -> None:
    """However its bytes are changed, a wheel gives exactly what RECORD of the honest one states, or a clear refusal."""
    raw = bytearray(honest := wheel.read_bytes())
    start = raw.index(b"PK\x01\x02") if index_only else 0  # the index at its end is what a forger would edit
    for place, change in harm:
        raw[start + int(place * (len(raw) - start))] ^= change
    damaged = tmp_path / "damaged.whl"
    damaged.write_bytes(bytes(raw[: int(end * len(raw))]))
    assert wheel.read_bytes() == honest
    try:
        opened = open_wheel(damaged)
        for path in opened.members.keys() & FILES.keys():
            (tmp_path / "out").unlink(missing_ok=True)
            opened.extract(path, tmp_path / "out", tmp_path / "tmp", lambda n: None)
            assert (tmp_path / "out").read_bytes() == FILES[path]
    except PortError as error:
        assert all(p.where and p.hint for p in error.problems)


def test_all_problems_of_a_wheel_are_told_at_once(tmp_path: Path) -> None:
    """A wheel with three faults is refused with all three."""
    extra = [(entry("../a"), b"x"), (entry("/b"), b"x"), (entry("c", stat.S_IFLNK), b"x")]
    said = refused(build_wheel(tmp_path, FILES, extra=extra))
    assert all(name in said for name in ("../a", "/b", "symbolic link"))
