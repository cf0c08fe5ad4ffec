"""The source of a reference that the model repo holds itself is an input of what is made from it."""

from pathlib import Path

from portwright.stages.codegen import reference_inputs


def test_an_edit_of_the_module_changes_the_inputs(tmp_path: Path) -> None:
    """A module beside port.toml counts with its text, whatever its line ends."""
    (tmp_path / "mine.py").write_bytes(b"a = 1\n")
    before = reference_inputs("mine:Net", tmp_path)
    (tmp_path / "mine.py").write_bytes(b"a = 1\r\n")
    assert reference_inputs("mine:Net", tmp_path) == before
    (tmp_path / "mine.py").write_bytes(b"a = 2\n")
    assert reference_inputs("mine:Net", tmp_path) != before


def test_a_package_counts_with_all_its_modules(tmp_path: Path) -> None:
    """A class may take its layers from a neighbour."""
    (tmp_path / "mine").mkdir()
    for name in ("net.py", "layers.py"):
        (tmp_path / "mine" / name).write_text("a = 1\n", encoding="utf-8")
    before = reference_inputs("mine.net:Net", tmp_path)
    (tmp_path / "mine" / "layers.py").write_text("a = 2\n", encoding="utf-8")
    assert reference_inputs("mine.net:Net", tmp_path) != before


def test_an_installed_library_counts_with_its_version(tmp_path: Path) -> None:
    """Its files are not read: a new version is what changes them."""
    assert set(reference_inputs("transformers:Any", tmp_path)) == {
        "the version of transformers",
        "the version of torch",
    }
