"""The hooks' catalogue and doors: what pre-commit reads, and what a person types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from portrepo import PortRepo
from portwright import hooks
from portwright.errors import PortError
from pre_commit.clientlib import load_manifest

TOP = Path(__file__).parents[2]


def test_hooks_file_is_the_catalogue_s() -> None:
    """`.pre-commit-hooks.yaml` is what the catalogue generates: run its command if this fails."""
    assert (TOP / ".pre-commit-hooks.yaml").read_text(encoding="utf-8") == hooks.hooks_yaml()


def test_pre_commit_accepts_the_hooks_file() -> None:
    """pre-commit's own reader takes the file, with all stages and no file names."""
    loaded = load_manifest(str(TOP / ".pre-commit-hooks.yaml"))
    assert [hook["id"] for hook in loaded] == ["port-manifest", "port-spec", "port-skill"]
    for hook in loaded:
        assert hook["stages"] == ["pre-commit", "pre-merge-commit", "pre-push", "manual"]
        assert (hook["language"], hook["pass_filenames"], hook["always_run"], hook["require_serial"]) == (
            "python", False, True, True,
        )  # fmt: skip


def test_hook_starts_without_doit_or_numpy_or_jsonschema() -> None:
    """Importing the hooks' door loads nothing heavy: it runs on every commit."""
    code = (
        "import sys, portwright.hooks, portwright.cli, portwright.commands.hook;"
        "heavy = {'doit', 'numpy', 'torch', 'mlx', 'jsonschema', 'rich', 'safetensors', 'blake3', 'huggingface_hub'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_gate_needs_only_what_pre_commit_installs(port: PortRepo) -> None:
    """Judging a port imports jsonschema and tomli and no other package of the build."""
    code = (
        "import sys; from portwright import hooks; status = hooks.main(['port-manifest']);"
        "heavy = {'doit', 'numpy', 'torch', 'mlx', 'rich', 'safetensors', 'blake3', 'huggingface_hub', 'filelock'};"
        "print(status, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=port.path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no hook is named"),
        (["port-magic"], "there is no hook 'port-magic'"),
        (["port-spec", "--fix"], "unknown option '--fix'"),
    ],
)
def test_wrong_words_are_a_usage_problem(words: list[str], message: str) -> None:
    """A hook that does not exist, or an option, is refused with the names that do."""
    with pytest.raises(PortError) as caught:
        hooks.main(words)
    assert caught.value.code == 2
    assert message in caught.value.problems[0].problem


def test_spec_hook_reads_the_index_and_names_the_line(
    port: PortRepo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong key that is staged is named with its line, whatever the working tree says by now."""
    good = port.read("port.toml")
    port.write("port.toml", good.replace("kind = ", "knid = "))
    port.git("add", "port.toml")
    port.write("port.toml", good)
    monkeypatch.chdir(port.path)
    assert hooks.main(["port-spec"]) == 2
    assert "port.toml:8: components.model.knid: unknown key 'knid'" in capsys.readouterr().err


def test_spec_hook_uses_the_staged_skill(
    port: PortRepo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Skill that is only on disk does not count: the commit would lack it."""
    port.git("rm", "-q", "--cached", "-r", "skills")
    monkeypatch.chdir(port.path)
    assert hooks.main(["port-spec"]) == 2
    assert "port.toml:4: skill: there is no Skill 'tiny'" in capsys.readouterr().err


def test_hooks_judge_only_the_named_folders(port: PortRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders after the hook's name restrict it: a repository may hold broken ports as test files."""
    port.write("tests/broken/port.toml", "schema = 2\n")
    port.git("add", "-A")
    monkeypatch.chdir(port.path)
    assert hooks.main(["port-spec"]) == 2
    assert hooks.main(["port-spec", "examples", "./ported/"]) == 0
    assert not port.gate("examples").blocked
    assert port.gate("tests").blocked


def test_accept_is_typed_at_a_terminal(port: PortRepo) -> None:
    """`portwright accept` shows the figures on a terminal and takes the port's name from it."""
    master, slave = os.openpty()
    command = [sys.executable, "-m", "portwright", "accept"]
    with subprocess.Popen(command, cwd=port.path, stdin=slave, stdout=slave, stderr=slave) as running:
        os.close(slave)
        os.write(master, b"minilm\n")
        assert running.wait(timeout=20) == 0
    os.close(master)
    assert port.json("port.acceptance.json")["by"] == "Ada <ada@example.org>"
