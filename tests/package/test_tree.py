"""What must not stand anywhere in the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A home folder, a work folder, an index that somebody's pip was told to use: spelled so that this file is not found.
_PLACES = re.compile("|".join(["/wo" + "rk/", "/op" + "t/", "/ro" + "ot/", "/ho" + "me/", "file:///us" + "r/"]))
_HOSTS = re.compile("|".join(["pypi" + r"\.org", "python" + "hosted", r"download\.py" + "torch"]))
_BINARY = {".safetensors", ".whl", ".png", ".tar"}

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


def _texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [name for name in listed.decode().split("\0") if name and Path(name).suffix not in _BINARY]
    files = {name: ROOT / name for name in names if (ROOT / name).is_file()}
    return {name: file.read_text(encoding="utf-8", errors="replace") for name, file in files.items()}


def test_no_file_names_a_machine_or_an_index() -> None:
    """No tracked file holds a path of one machine or the host of a package index."""
    found = {
        f"{name}:{number}": line.strip()[:100]
        for name, text in _texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if _PLACES.search(line) or _HOSTS.search(line)
    }

    assert found == {}


def test_no_generated_port_and_no_weights_are_tracked() -> None:
    """Generated code of a library's model and its weights stay out of the repository."""
    names = subprocess.run(["git", "ls-files", "examples"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert [n for n in names.split() if n.endswith((".safetensors", "model.py")) or "/.portwright/" in n] == []


def test_no_module_is_longer_than_400_lines() -> None:
    """Past 400 lines a module does more than one thing."""
    modules = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in (ROOT / "plugin").rglob("*.py")}

    assert {file.name: lines for file, lines in modules.items() if lines > 400} == {}
