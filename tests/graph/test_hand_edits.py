"""A person's edits of model.py survive new code, and a conflict loses nothing."""

from pathlib import Path

import pytest
from portwright.errors import PortError
from portwright.stages.codegen import _merge, check_markers

BASE = "a = 1\nb = 2\nc = 3\nd = 4\ne = 5\n"


class Files:
    """The three files that a regeneration meets, and where a backup would go."""

    def __init__(self, folder: Path, *, model: str | None, base: str | None, new: str) -> None:
        self.pristine, self.base = folder / "new.py", folder / ".base" / "model.py"
        self.model, self.backup = folder / "model.py", folder / "merge"
        self.base.parent.mkdir()
        for path, text in ((self.pristine, new), (self.base, base), (self.model, model)):
            if text is not None:
                path.write_text(text, encoding="utf-8")

    def merge(self) -> str:
        return _merge(self.pristine, self.base, self.model, self.backup)


def test_an_edit_survives_new_code(tmp_path: Path) -> None:
    """Where person and codegen changed other lines, model.py gets both, and the new code becomes the base."""
    new = BASE.replace("e = 5", "e = 50")
    files = Files(tmp_path, model=BASE.replace("a = 1", "a = 10"), base=BASE, new=new)
    assert files.merge() == ""
    assert files.model.read_text() == "a = 10\nb = 2\nc = 3\nd = 4\ne = 50\n"
    assert files.base.read_text() == new


def test_a_conflict_keeps_both_sides_and_a_backup(tmp_path: Path) -> None:
    """Both versions stand in model.py between markers, and the person's file is kept whole beside it."""
    edited = BASE.replace("c = 3", "c = 'mine'")
    files = Files(tmp_path, model=edited, base=BASE, new=BASE.replace("c = 3", "c = 'theirs'"))
    said = files.merge()
    merged = files.model.read_text()
    assert "c = 'mine'" in merged and "c = 'theirs'" in merged
    assert (files.backup / "model.py.orig").read_text() == edited
    assert "conflict in line 3" in said and "model.py.orig" in said


def test_markers_keep_a_port_from_being_verified(tmp_path: Path) -> None:
    """Until they are settled, the message names the lines and what to do."""
    files = Files(tmp_path, model=BASE.replace("c = 3", "c = 1"), base=BASE, new=BASE.replace("c = 3", "c = 9"))
    files.merge()
    with pytest.raises(PortError) as raised:
        check_markers(files.model, "ported/model.py")
    assert raised.value.problems[0].where == "ported/model.py:3"
    assert "delete the marker lines" in raised.value.problems[0].hint


def test_a_settled_conflict_is_not_met_again(tmp_path: Path) -> None:
    """After the person settled it, the same new code merges without a word."""
    files = Files(tmp_path, model=BASE.replace("c = 3", "c = 1"), base=BASE, new=BASE.replace("c = 3", "c = 9"))
    files.merge()
    settled = BASE.replace("c = 3", "c = 19")
    files.model.write_text(settled)
    assert files.merge() == ""
    assert files.model.read_text() == settled


def test_a_file_that_was_never_ours_is_kept_beside(tmp_path: Path) -> None:
    """A model.py without a base cannot be merged: it is replaced, said, and kept."""
    files = Files(tmp_path, model="mine = True\n", base=None, new=BASE)
    assert "model.py.orig" in files.merge()
    assert files.model.read_text() == BASE
    assert (files.backup / "model.py.orig").read_text() == "mine = True\n"


def test_a_killed_merge_is_finished_by_the_next(tmp_path: Path) -> None:
    """model.py is published before the base: a kill between the two leaves what merges to the same."""
    new = BASE.replace("e = 5", "e = 50")
    merged = "a = 10\nb = 2\nc = 3\nd = 4\ne = 50\n"
    files = Files(tmp_path, model=merged, base=BASE, new=new)
    assert files.merge() == ""
    assert files.model.read_text() == merged
