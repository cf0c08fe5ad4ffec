"""Code that comes with weights: refused until port.toml allows it, and imported by the isolated workers alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ownrepo import CONFIG, OwnRepo
from portwright.errors import ExitCode, PortError
from portwright.records import ComponentSpec
from portwright.remote import consent
from portwright.stages.reference import check_left

LEAVES_A_TRACE = "\nimport pathlib\npathlib.Path({file!r}).write_text('imported')\n"


def spec(reference: str = "modeling_own:OwnModel", remote_code: bool | None = None, path: str = "") -> ComponentSpec:
    return ComponentSpec("model", path, reference, "encoder", remote_code=remote_code)


def test_plan_refuses_code_that_nobody_allowed(tmp_path: Path) -> None:
    """Exit code 2, and one message that names the file, its key, the classes and what to write."""
    said = OwnRepo(tmp_path / "repo", remote_code=None).run("portwright", "plan")

    assert said.returncode == ExitCode.USAGE
    assert said.stdout == ""
    assert said.stderr.startswith("file:weights: config.json: auto_map: ")
    assert "configuration_own.OwnConfig, modeling_own.OwnModel" in said.stderr
    assert "components.model.remote_code = true in port.toml" in said.stderr


def test_fetch_refuses_it_before_the_weights(tmp_path: Path) -> None:
    """`doit port` without a plan says the same, and has moved no weights."""
    repo = OwnRepo(tmp_path / "repo", remote_code=None)
    said = repo.run("doit", "port")

    assert said.returncode == 1
    assert "config.json: auto_map: " in said.stdout
    record = next((tmp_path / "cache").rglob("files.json")).read_text()
    assert "config.json" in record
    assert "model.safetensors" not in record


def test_consent_that_is_taken_back_counts(tmp_path: Path) -> None:
    """A source that was fetched while its code was allowed is refused again when the line goes."""
    repo = OwnRepo(tmp_path / "repo")
    assert repo.run("doit", "fetch").returncode == 0
    repo.say(None)

    assert "config.json: auto_map: " in repo.run("doit", "fetch").stdout


def test_nothing_that_people_wait_for_imports_the_code(tmp_path: Path) -> None:
    """Plan, list, check, fetch and the hooks leave a module alone that would leave a trace."""
    repo = OwnRepo(tmp_path / "repo")
    trace = tmp_path / "trace"
    repo.append(LEAVES_A_TRACE.format(file=str(trace)), "configuration_own.py")
    repo.append(LEAVES_A_TRACE.format(file=str(trace)))
    commands = (
        ("doit", "list", "--all"), ("portwright", "plan"), ("doit", "fetch"), ("portwright", "plan"),
        ("portwright", "check"), ("portwright", "hook", "port-spec", "port.toml"),
        ("portwright", "hook", "port-manifest"),
    )  # fmt: skip
    subprocess.run(["git", "add", "-A"], cwd=repo.path, check=True)
    for command in commands:
        repo.run(*command)
        assert not trace.exists(), command

    subprocess.run([sys.executable, "configuration_own.py"], cwd=repo.path / "weights", check=True)
    assert trace.exists()  # so it is left by whoever imports it


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"AutoModel": "modeling_own.OwnModel"}, ["modeling_own.OwnModel"]),
        ({"AutoTokenizer": ["tokenization_own.Slow", None]}, ["tokenization_own.Slow"]),
        ({"AutoModel": "other/repo--modeling.Model"}, ["other/repo--modeling.Model"]),
        ("modeling_own.OwnModel", ["modeling_own.OwnModel"]),
        ({"AutoModel": 3}, []),
        ({}, []),
    ],
)
def test_every_form_of_the_key_is_refused(table: object, named: list[str]) -> None:
    """Whatever the value is, the key alone says that the model wants its own code."""
    config = {"auto_map": table}

    assert consent.classes(config) == named
    with pytest.raises(PortError, match="auto_map"):
        consent.check_asked(spec(), config, "file:weights")


def test_init_drafts_the_class_and_leaves_the_word_to_a_person(tmp_path: Path) -> None:
    """The reference is the class in the source's own file, and the consent a comment."""
    repo = OwnRepo(tmp_path / "repo")
    (repo.path / "port.toml").unlink()
    assert repo.run("portwright", "init", "file:weights").returncode == 0
    text = (repo.path / "port.toml").read_text()

    assert 'reference = "modeling_own:OwnModel"' in text
    assert "# remote_code = true" in text
    assert "auto_map" in repo.run("portwright", "plan").stderr


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_not_taken_over(tmp_path: Path, kind: str) -> None:
    """A result that leads elsewhere is refused: what reads it is not isolated."""
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "golden.json").write_text("{}")
    check_left(tmp_path)
    left = tmp_path / "golden" / "outputs.000.safetensors"
    os.mkfifo(left) if kind == "pipe" else left.symlink_to(tmp_path)

    with pytest.raises(PortError, match=r"outputs\.000\.safetensors"):
        check_left(tmp_path)


def test_a_library_s_class_is_ported_without_the_source_s_code() -> None:
    """`remote_code = false` says so, and is no opt-in."""
    consent.check_asked(spec("transformers:BertModel", remote_code=False), CONFIG, "file:weights")


@pytest.mark.parametrize(
    ("reference", "hint"),
    [("transformers:BertModel", "such as configuration_own:OwnConfig"), ("deep.modeling_own:Own", "file:Class")],
)
def test_the_reference_must_be_in_the_source_s_files(reference: str, hint: str) -> None:
    """What would be imported from elsewhere is refused, with a class that could be meant."""
    files = ["text/modeling_own.py", "text/configuration_own.py", "text/deep/modeling_own.py", "setup.py"]
    with pytest.raises(PortError, match=r"\(configuration_own\.py, modeling_own\.py\)") as caught:
        consent.check_reference(spec(reference, True, "text"), CONFIG, files, "file:weights")

    assert hint in str(caught.value)


def test_code_of_another_repository_is_refused() -> None:
    """port.lock pins the files of one source."""
    config = {"auto_map": {"AutoModel": "other/repo--modeling.Model"}}
    with pytest.raises(PortError, match="lies in another repository"):
        consent.check_reference(spec("modeling:Model", True), config, ["config.json"], "hf:org/name@main")


def test_code_that_came_after_the_lock_is_refused() -> None:
    """A pinned file may import it."""
    consent.check_pinned(["a.py", "b.py"], None, "file:weights")
    consent.check_pinned(["a.py", "b.py"], ["config.json"], "file:weights")  # consent came later: nothing is pinned yet
    with pytest.raises(PortError, match=r"b\.py: this code is not pinned") as caught:
        consent.check_pinned(["a.py", "b.py"], ["a.py", "config.json"], "file:weights")

    assert caught.value.code == ExitCode.SOURCE


def test_what_goes_beside_a_port_asks_for_no_code(tmp_path: Path) -> None:
    """A tokenizer's config loses the key; every other file is carried byte for byte."""
    own = tmp_path / "tokenizer_config.json"
    own.write_text(json.dumps({"auto_map": {"AutoTokenizer": ["t.T", None]}, "model_max_length": 8}))
    assert json.loads(consent.without_key(own)) == {"model_max_length": 8}
    for content in (b'{"model_max_length":8}', b'["auto_map"]', b'{"x": "auto_map"}', b"{auto_map"):
        own.write_bytes(content)
        assert consent.without_key(own) == content
