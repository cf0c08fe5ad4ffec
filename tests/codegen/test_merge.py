"""Hand edits survive a regeneration; a conflict is reported and loses nothing."""

from __future__ import annotations

from portwright.codegen.merge import merge3

BASE = "import mlx\n\n\nclass A:\n    x = 1\n\n\nclass B:\n    y = 1\n\n\nclass C:\n    z = 1\n"


def test_edit_and_regeneration_of_different_places_merge() -> None:
    """An edit in one class and a change of the generator in another are both in the result."""
    merged = merge3(BASE, BASE.replace("x = 1", "x = 2"), BASE.replace("z = 1", "z = 3"))
    assert merged.conflicts == ()
    assert merged.text == BASE.replace("x = 1", "x = 2").replace("z = 1", "z = 3")


def test_unedited_file_becomes_the_new_one() -> None:
    """Where nobody edited, the newly generated text is taken as it is."""
    assert merge3(BASE, BASE, "new\n").text == "new\n"


def test_unchanged_generation_keeps_the_edits() -> None:
    """Where the generator gives what it gave, the person's file stays as it is."""
    assert merge3(BASE, "mine\n", BASE).text == "mine\n"


def test_conflict_is_reported_and_both_sides_are_kept() -> None:
    """Two changes of one line are one conflict, and the merged text holds both."""
    merged = merge3(BASE, BASE.replace("y = 1", "y = 2"), BASE.replace("y = 1", "y = 3"))
    assert [(c.ours.strip(), c.theirs.strip()) for c in merged.conflicts] == [("y = 2", "y = 3")]
    assert "y = 2" in merged.text and "y = 3" in merged.text
    assert merged.text.splitlines()[merged.conflicts[0].line - 1].startswith("<<<<<<<")
