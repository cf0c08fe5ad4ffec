"""A receipt vouches for exactly the bytes that its task wrote, and for nothing less."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from portwright import receipts
from portwright.receipts import Receipt, damaged, inputs_changed, read, record, write


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PORTWRIGHT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "port"
    folder.mkdir()
    return folder


@pytest.fixture
def made(base: Path) -> tuple[Path, Receipt]:
    """The receipt of a task with an output in the port and one in the cache."""
    outputs = [base / "out" / "a.bin", base.parent / "cache" / "snapshots" / "b.bin"]
    for file in outputs:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"content of " + file.name.encode())
    path = base / ".portwright" / "receipts" / "remap.x.json"
    receipt = Receipt("remap:x", {"the moves": "1"}, record(base, outputs), {"answer": 42})
    write(path, receipt)
    return path, receipt


def test_a_receipt_is_read_back_as_it_was(made: tuple[Path, Receipt]) -> None:
    """Task, inputs, outputs and result survive the file."""
    path, receipt = made

    assert read(path) == receipt
    assert list(receipt.outputs) == ["out/a.bin", "cache:snapshots/b.bin"]


def test_untouched_outputs_are_not_read(made: tuple[Path, Receipt], base: Path, monkeypatch) -> None:
    """While size and time are as recorded no byte is read."""
    path, receipt = made
    monkeypatch.setattr(receipts, "hash_file", lambda file: pytest.fail(f"{file} was read"))

    assert damaged(path, receipt, base) == []


def test_a_touch_is_forgiven_and_remembered(made: tuple[Path, Receipt], base: Path, monkeypatch) -> None:
    """A new time with the old bytes is no damage, and the next check reads nothing again."""
    path, receipt = made
    os.utime(base / "out" / "a.bin", (1, 1))

    assert damaged(path, receipt, base) == []

    monkeypatch.setattr(receipts, "hash_file", lambda file: pytest.fail(f"{file} was read"))
    again = read(path)
    assert again is not None
    assert damaged(path, again, base) == []


def test_a_receipt_that_cannot_be_refreshed_still_stands(made: tuple[Path, Receipt], base: Path, monkeypatch) -> None:
    """On a read-only disk a touched output is still right."""
    path, receipt = made
    os.utime(base / "out" / "a.bin", (1, 1))

    def refuse(path: Path, receipt: Receipt) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(receipts, "write", refuse)
    assert damaged(path, receipt, base) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:-1] + b"X"),
        lambda file: file.write_bytes(file.read_bytes() + b"X"),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: (file.unlink(), file.symlink_to("nowhere")),
    ],
    ids=["deleted", "emptied", "cut", "one-byte", "longer", "folder", "dangling-link"],
)
@pytest.mark.parametrize("name", ["out/a.bin", "cache:snapshots/b.bin"])
def test_damage_is_found_and_named(made: tuple[Path, Receipt], base: Path, name: str, damage) -> None:
    """A missing or different output is named, and only that one."""
    path, receipt = made
    damage(receipts._path(base, name))

    assert damaged(path, receipt, base) == [name]


def test_a_byte_changed_under_the_old_time_is_found_by_a_full_check(made: tuple[Path, Receipt], base: Path) -> None:
    """Same size and time hide a changed byte from the fast check, not from the full one."""
    path, receipt = made
    file = base / "out" / "a.bin"
    before = file.stat()
    file.write_bytes(b"CONTENT of a.bin")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert damaged(path, receipt, base) == []
    assert damaged(path, receipt, base, full=True) == ["out/a.bin"]


def test_a_moved_cache_changes_nothing(made: tuple[Path, Receipt], base: Path, monkeypatch) -> None:
    """Outputs in the cache are named relative to it."""
    path, receipt = made
    shutil.move(base.parent / "cache", base.parent / "elsewhere")
    assert damaged(path, receipt, base) == ["cache:snapshots/b.bin"]

    monkeypatch.setenv("PORTWRIGHT_CACHE", str(base.parent / "elsewhere"))
    assert damaged(path, receipt, base) == []


def test_a_moved_port_changes_nothing(made: tuple[Path, Receipt], base: Path) -> None:
    """Outputs in the port are named relative to its folder."""
    _, receipt = made
    moved = Path(shutil.move(base, base.parent / "moved"))

    assert damaged(moved / ".portwright/receipts/remap.x.json", receipt, moved) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": 1}',
        b'{"schema": 2, "task": "x", "inputs": {}, "outputs": {}, "result": {}}',
        b'{"schema": 1, "task": "x", "inputs": [], "outputs": [], "result": {}}',
        b'{"schema": 1, "task": "x", "inputs": {}, "outputs": {"a": [1]}, "result": {}}',
        b'{"schema": 1, "task": "x", "inputs": {}, "outputs": {}, "result": 7}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_receipt_that_is_no_receipt_counts_as_none(base: Path, content: bytes) -> None:
    """A file that cannot be understood means that the task runs again, never a crash."""
    file = base / "r.json"
    file.write_bytes(content)

    assert read(file) is None


def test_every_truncation_of_a_receipt_counts_as_none(made: tuple[Path, Receipt]) -> None:
    """A receipt cut anywhere vouches for nothing."""
    path, _ = made
    whole = path.read_bytes()

    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        assert read(path) is None, length


def test_an_interrupted_write_leaves_the_old_receipt(made: tuple[Path, Receipt], monkeypatch) -> None:
    """Whatever stops a write, the receipt of before stands, and no temporary file stays."""
    path, receipt = made

    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)  # the temporary file is written by then
    with pytest.raises(KeyboardInterrupt):
        write(path, Receipt("remap:x", {}, {}, {}))

    assert read(path) == receipt
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_each_input_that_differs_is_named(made: tuple[Path, Receipt]) -> None:
    """Changed, new and vanished inputs are named; without a receipt everything is new."""
    _, receipt = made

    assert inputs_changed(receipt, {"the moves": "1"}) == []
    assert inputs_changed(receipt, {"the moves": "2"}) == ["the moves"]
    assert inputs_changed(receipt, {"the moves": "1", "the dtype": "x"}) == ["the dtype"]
    assert inputs_changed(receipt, {}) == ["the moves"]
    assert inputs_changed(None, {}) == [""]
