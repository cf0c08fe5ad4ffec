"""A golden as one file: exact, small in what it accepts, and enough for a machine without torch."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from portwright.errors import PortError
from portwright.openblas import preload
from portwright.verify.blame import failing
from portwright.verify.pack import pack, unpack

BLOCK_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "diffusers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoTorch())
"""


def test_packing_twice_gives_the_same_bytes_and_unpacking_the_same_golden(
    picture: SimpleNamespace, tmp_path: Path
) -> None:
    """A pack depends on the golden alone, and gives every file back."""
    first, second = pack(picture.golden, tmp_path / "a.tar"), pack(picture.golden, tmp_path / "b.tar")
    assert first == second
    unpack(tmp_path / "a.tar", tmp_path / "golden")
    names = {p.name for p in picture.golden.iterdir()}
    assert {p.name for p in (tmp_path / "golden").iterdir()} == names
    assert all((tmp_path / "golden" / n).read_bytes() == (picture.golden / n).read_bytes() for n in names)


def test_a_port_is_measured_from_a_pack_where_torch_cannot_be_imported(
    picture: SimpleNamespace, tmp_path: Path
) -> None:
    """The measure worker needs mlx, numpy and safetensors, and no torch."""
    pack(picture.golden, tmp_path / "golden.tar")
    (tmp_path / "sitecustomize.py").write_text(BLOCK_TORCH)
    job = {"port": str(picture.port), "golden": str(tmp_path / "golden.tar"), "out": str(tmp_path / "m.json")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    env = preload({**os.environ, "PYTHONPATH": path})
    command = [sys.executable, "-m", "portwright.verify.measure", str(tmp_path / "job.json")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    body = json.loads((tmp_path / "m.json").read_text())
    assert failing(body) == []
    probe = [sys.executable, "-c", "import torch"]
    assert subprocess.run(probe, env=env, capture_output=True, check=False).returncode != 0


def _tar(path: Path, members: list[tuple[str, bytes, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(info, io.BytesIO(content))
    return path


INDEX = json.dumps({"files": {"a.safetensors": "0" * 64}}).encode()
REG, SYM, LNK, DIR = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
HOSTILE = {
    "no index first": ([("a.safetensors", REG, b"x")], "does not begin with golden.json"),
    "index is a link": ([("golden.json", SYM, b"")], "does not begin with golden.json"),
    "climbs out": ([("golden.json", REG, INDEX), ("../evil", REG, b"x")], "'../evil', which is no file"),
    "absolute": ([("golden.json", REG, INDEX), ("/tmp/evil", REG, b"x")], "which is no file of this golden"),
    "link": ([("golden.json", REG, INDEX), ("a.safetensors", SYM, b"")], "which is no file of this golden"),
    "hard link": ([("golden.json", REG, INDEX), ("a.safetensors", LNK, b"")], "which is no file of this golden"),
    "folder": ([("golden.json", REG, INDEX), ("a.safetensors", DIR, b"")], "which is no file of this golden"),
    "other bytes": ([("golden.json", REG, INDEX), ("a.safetensors", REG, b"x")], "not the captured ones"),
    "unlisted": ([("golden.json", REG, INDEX), ("b", REG, b"x")], "'b', which is no file"),
    "missing": ([("golden.json", REG, INDEX)], "lacks a.safetensors"),
    "names a path": ([("golden.json", REG, b'{"files": {"../x": "0"}}')], "no sound list of files"),
    "lists itself": ([("golden.json", REG, b'{"files": {"golden.json": "0"}}')], "no sound list of files"),
    "no list": ([("golden.json", REG, b"{}")], "no sound list of files"),
    "not JSON": ([("golden.json", REG, b"{")], "not valid JSON"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_writes_nothing(case: str, tmp_path: Path) -> None:
    """Links, paths, unlisted, missing and altered members are refused with a reason, and nothing is left behind."""
    members, message = HOSTILE[case]
    archive = _tar(tmp_path / "x.tar", members)
    (tmp_path / "out").mkdir()
    with pytest.raises(PortError, match=message.replace(".", r"\.")):
        unpack(archive, tmp_path / "out" / "golden")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b" + b"\0" * 600])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    """Empty, foreign and compressed files are refused without a traceback."""
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(PortError):
        unpack(tmp_path / "x.tar", tmp_path / "golden")


def test_a_truncated_pack_is_refused(picture: SimpleNamespace, tmp_path: Path) -> None:
    """A pack that was cut off in transit leaves no golden."""
    pack(picture.golden, tmp_path / "g.tar")
    whole = (tmp_path / "g.tar").read_bytes()
    (tmp_path / "g.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PortError):
        unpack(tmp_path / "g.tar", tmp_path / "golden")
    assert not (tmp_path / "golden").exists()


def test_a_damaged_golden_is_not_packed(picture: SimpleNamespace, tmp_path: Path) -> None:
    """Packing checks the bytes that golden.json pins, and names every file that is wrong."""
    shutil.copytree(picture.golden, tmp_path / "golden")
    with (tmp_path / "golden" / "outputs.000.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    (tmp_path / "golden" / "modules.safetensors").unlink()
    with pytest.raises(PortError) as error:
        pack(tmp_path / "golden", tmp_path / "g.tar")
    assert {Path(p.where).name for p in error.value.problems} == {"outputs.000.safetensors", "modules.safetensors"}
