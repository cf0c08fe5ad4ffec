"""The source of a reference that the model repo holds itself, and that of the engine, are inputs of what they make."""

from pathlib import Path

import pytest
from portwright.stages.codegen import engine_digest
from portwright.stages.reference import reference_inputs


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


@pytest.mark.parametrize("changed", ["codegen/emit/file.py", "reference/build.py"])
def test_an_edit_of_the_engine_changes_its_digest(tmp_path: Path, changed: str) -> None:
    """The engine counts with its text, whatever its line ends; what writes no code does not count."""
    files = ("codegen/emit/file.py", "reference/build.py", "verify/compare.py")

    def digest(name: str = "", content: bytes = b"a = 1\n") -> str:
        engine_digest.cache_clear()
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(content if file == name else b"a = 1\n")
        return engine_digest(tmp_path)

    before = digest()
    assert digest(changed, b"a = 1\r\n") == before
    assert digest("verify/compare.py", b"a = 2\n") == before
    assert digest(changed, b"a = 2\n") != before
