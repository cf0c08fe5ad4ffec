"""What pip installs for a user, and what it needs to run there."""

from __future__ import annotations

import subprocess
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_wheel_carries_every_skill_and_schema(wheel: Path) -> None:
    """Each file of skills/ and schemas/ is in the wheel, byte for byte."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}

    for kind in ("skills", "schemas"):
        files = [f for f in (ROOT / kind).rglob("*") if f.is_file() and "__pycache__" not in f.parts]
        assert files
        for file in files:
            name = f"portwright/_data/{file.relative_to(ROOT).as_posix()}"
            assert packed.get(name) == file.read_bytes(), name


def test_the_wheel_carries_every_module_and_nothing_else(wheel: Path) -> None:
    """The wheel holds the modules and data files of plugin/portwright; no test, example or build output."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(("portwright/_data/", "portwright-"))}
    package = ROOT / "plugin"
    files = {
        file.relative_to(package).as_posix()
        for file in (package / "portwright").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }

    assert names == files


def test_base_dependencies_stay_light() -> None:
    """pre-commit installs the base dependencies for the hooks: two of them, nothing that computes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert sorted(d.split(">")[0] for d in project["dependencies"]) == ["jsonschema", "tomli"]


def test_a_clean_environment_has_neither_doit_nor_numpy(clean: Path) -> None:
    """What the next tests run cannot import what is not there."""
    for package in ("doit", "numpy", "torch", "mlx", "rich", "safetensors", "huggingface_hub"):
        done = subprocess.run([clean / "python", "-c", f"import {package}"], capture_output=True, check=False)
        assert done.returncode == 1, package


def test_the_command_says_its_version(portwright: Run) -> None:
    """`portwright --version` runs with the base dependencies and says the version of pyproject.toml."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    done = portwright("--version")

    assert (done.returncode, done.stdout) == (0, f"portwright {version}\n")


def test_built_in_skills_are_found_from_the_wheel(portwright: Run) -> None:
    """`portwright skill list` names every Skill of the checkout, and `skill copy` copies one."""
    listed, copied = portwright("skill", "list"), portwright("skill", "copy", "bert")

    names = sorted(line.split()[0] for line in listed.stdout.splitlines())
    assert names == sorted(folder.name for folder in (ROOT / "skills").iterdir() if (folder / "skill.toml").is_file())
    assert copied.returncode == 0, copied.stderr


def test_every_hook_runs_with_base_dependencies(portwright: Run, tmp_path: Path) -> None:
    """The three hooks judge a repository with a right port.toml and no build of it: only the gate blocks."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    text = (ROOT / "examples" / "minilm" / "port.toml").read_text(encoding="utf-8")
    (tmp_path / "port.toml").write_text(text, encoding="utf-8")
    subprocess.run(["git", "-C", str(tmp_path), "add", "port.toml"], check=True)

    spec, skills, gate = (portwright("hook", name) for name in ("port-spec", "port-skill", "port-manifest"))

    assert (spec.returncode, spec.stderr) == (0, "")
    assert (skills.returncode, skills.stderr) == (0, "")
    assert gate.returncode == 1
    assert "port.lock" in gate.stderr and "doit port" in gate.stderr


def test_a_missing_extra_is_named(portwright: Run, tmp_path: Path) -> None:
    """Work that needs an extra says which one to install, without a traceback."""
    (tmp_path / "port.toml").write_text(
        (ROOT / "examples" / "minilm" / "port.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )

    done = portwright("verify", "--from-scratch")

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
