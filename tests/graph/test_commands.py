"""`portwright why`, `check` and `skill`, and what the exit codes mean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from portwright.errors import ExitCode
from support.cli import Run, runner
from support.model_repo import ModelRepo

WORDS = ("init", "plan", "why", "check", "try", "verify", "golden", "skill", "accept", "hook")


@pytest.fixture
def portwright(repo: ModelRepo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`portwright` inside the built repository, in this process."""
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("PORTWRIGHT_CACHE", repo.env["PORTWRIGHT_CACHE"])
    return runner(capsys)


def test_why_says_that_nothing_would_run(portwright: Run) -> None:
    """After a build every task is up to date."""
    ran = portwright("why")

    assert ran.code == 0
    assert len(ran.out.splitlines()) == 7
    assert all(line.endswith(": up to date") for line in ran.out.splitlines())


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda repo: repo.write("ported/model.py", "# by hand\n"), "verify:tiny:model: model.py changed"),
        (
            lambda repo: (repo.path / "ported/model.safetensors").unlink(),
            "remap:tiny:model: the output ported/model.safetensors is missing or damaged",
        ),
        (
            lambda repo: (repo.path / ".portwright/receipts/bind.tiny.model.json").unlink(),
            "bind:tiny:model: it has never finished",
        ),
        (
            lambda repo: repo.write("port.toml", (repo.path / "port.toml").read_text() + 'dtype = "float16"\n'),
            "remap:tiny:model: the dtype changed",
        ),
    ],
    ids=["model.py", "weights", "receipt", "dtype"],
)
def test_why_names_the_one_thing_that_changed(repo: ModelRepo, portwright: Run, edit, line: str) -> None:
    """Each reason is one line that a person understands."""
    edit(repo)

    ran = portwright("why")

    assert ran.code == 0
    assert line in ran.out.splitlines()


def test_why_of_an_unknown_task_suggests_the_nearest(portwright: Run) -> None:
    """A task that does not exist is named with one that does."""
    ran = portwright("why", "remap:tny:model")

    assert ran.code == ExitCode.USAGE
    assert ran.err == "remap:tny:model: there is no such task\n    fix: did you mean 'remap:tiny:model'?\n"


def test_why_names_tasks_as_doit_does(repo: ModelRepo, portwright: Run) -> None:
    """Every name that `doit list --all` shows can be asked for."""
    names = [line.split()[0] for line in repo.doit("list", "--all").out.splitlines()]

    ran = portwright("why", *(name for name in names if ":" in name))

    assert ran.code == 0, ran.err


def test_check_reads_every_byte(repo: ModelRepo, portwright: Run) -> None:
    """A byte changed under its old time is found by `check`, and made again by the next `doit port`."""
    assert "0 damaged" in portwright("check").out
    file = repo.path / "ported" / "model.safetensors"
    before = file.stat()
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"\x01")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    ran = portwright("check")

    assert ran.code == ExitCode.FAILED
    assert "remap:tiny:model: ported/model.safetensors is missing or damaged; `doit port` makes it again" in ran.out
    assert repo.port().ran == {"remap:tiny:model"}
    assert file.read_bytes() == content


def test_skill_list_tells_own_from_built_in(repo: ModelRepo, portwright: Run) -> None:
    """The repository's own Skill of a name stands in for the built-in one."""
    repo.write("skills/bert/skill.toml", 'schema = 1\nversion = "9"\nextends = "bert"\n')

    lines = {line.split()[0]: line.split()[1:] for line in portwright("skill", "list").out.splitlines()}

    assert lines["bert"] == ["9", "skills/bert"]
    assert lines["generic"][-1] == "built-in"


def test_skill_list_shows_the_others_beside_a_broken_one(repo: ModelRepo, portwright: Run) -> None:
    """A Skill that cannot be read is named with its line, and the others are still listed."""
    repo.write("skills/broken/skill.toml", "schema = 7\n")

    ran = portwright("skill", "list")

    assert ran.code == ExitCode.USAGE
    assert "skills/broken/skill.toml:1: schema: this file has format 7" in ran.err
    assert "generic" in ran.out


def test_skill_copy_brings_a_built_in_one_to_edit(repo: ModelRepo, portwright: Run) -> None:
    """A copied Skill is used from then on; it says the same, so nothing runs."""
    ran = portwright("skill", "copy", "bert")

    assert ran.code == 0
    assert (repo.path / "skills/bert/SKILL.md").is_file()
    assert repo.port().ran == set()


@pytest.mark.parametrize(
    ("name", "before", "said"),
    [
        ("bert", "skills/bert/mine.txt", "skills/bert: is there already"),
        ("brt", None, "there is no built-in Skill 'brt'"),
        ("../bert", None, "there is no built-in Skill '../bert'"),
        (".", None, "there is no built-in Skill '.'"),
        ("", None, "there is no built-in Skill ''"),
    ],
)
def test_skill_copy_refuses_what_it_would_damage(
    repo: ModelRepo, portwright: Run, name: str, before: str | None, said: str
) -> None:
    """An existing folder, and names that are none, are refused and nothing is left."""
    if before:
        repo.write(before, "x")
    there = {p for p in repo.path.rglob("*") if "skills" in p.parts}

    ran = portwright("skill", "copy", name)

    assert ran.code == ExitCode.USAGE
    assert said in ran.err
    assert {p for p in repo.path.rglob("*") if "skills" in p.parts} == there


# -- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WORDS)
def test_every_verb_explains_itself(portwright: Run, word: str) -> None:
    """`portwright VERB -h` works and names the exit codes."""
    ran = portwright(word, "-h")

    assert ran.code == 0
    assert "exit codes: 0 ok" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("words", "code"),
    [((), 0), (("--version",), 0), (("nonsense",), 2), (("why", "--nonsense"), 2), (("init",), 2), (("skill",), 2)],
)
def test_wrong_words_are_usage_errors(portwright: Run, words: tuple[str, ...], code: int) -> None:
    """What the command line does not know ends with status 2."""
    assert portwright(*words).code == code


@pytest.mark.parametrize("words", [("why",), ("check",), ("plan",)])
def test_a_wrong_port_toml_is_a_usage_error(repo: ModelRepo, portwright: Run, words: tuple[str, ...]) -> None:
    """Every command names the line of a wrong port.toml and ends with status 2."""
    repo.write("port.toml", "schema = 2\n")

    ran = portwright(*words)

    assert ran.code == ExitCode.USAGE
    assert "port.toml:1: schema: this file has format 2" in ran.err


@pytest.mark.parametrize("words", [("why",), ("check",), ("plan",)])
def test_without_any_port_the_next_step_is_named(repo: ModelRepo, portwright: Run, words: tuple[str, ...]) -> None:
    """A command that needs a port says how to get one."""
    (repo.path / "port.toml").unlink()

    ran = portwright(*words)

    assert ran.code == ExitCode.USAGE
    assert "`portwright init <source>` drafts one" in ran.err


def test_ctrl_c_is_one_line(portwright: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted command ends with status 130 and no traceback."""

    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("portwright.commands.why.run", interrupt)

    ran = portwright("why")

    assert (ran.code, ran.err) == (ExitCode.INTERRUPTED, "\ninterrupted\n")


def test_a_full_disk_is_one_line(portwright: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the operating system names its file, without a traceback."""

    def full(args: object) -> int:
        raise OSError(28, "No space left on device", "ported/model.py")

    monkeypatch.setattr("portwright.commands.why.run", full)

    ran = portwright("why")

    assert (ran.code, ran.err) == (ExitCode.FAILED, "ported/model.py: No space left on device\n")


def test_the_exit_codes_are_the_documented_ones() -> None:
    """The table of exit codes is an interface: scripts depend on it."""
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "HOLES": 3,
        "DIVERGED": 4,
        "NOT_BUILT": 5,
        "SOURCE": 6,
        "INTERRUPTED": 130,
    }


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    repo: ModelRepo, portwright: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that is read-only costs time, not the command."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PORTWRIGHT_CACHE", str(tmp_path / "file" / "cache"))

    assert portwright("skill", "list").code == 0
