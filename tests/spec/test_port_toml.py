"""Reading port.toml: what comes from the Skill, what from the file, and that no content at all is a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from portwright.errors import ExitCode, PortError
from portwright.schema import where
from portwright.spec import load_port
from portwright.validated import check_once

HEAD = 'schema = 1\nname = "x"\nsource = "file:weights"\nskill = "{skill}"\n'
WHOLE = HEAD.format(skill="bert") + (
    '[components.model]\npath = "a"\nreference = "m:C"\nkind = "encoder"\n[out]\npath = "ported"\ncommit_code = true\n'
    '[quantize]\nbits = 4\nkeep = ["a.*"]\nbudget = { kl = 0.5, top1 = 0.9 }\n[gate]\nrequire = "evidence"\n'
)


def _read(repo: Path, text: str) -> object:
    return load_port(repo / "port.toml", text)


def test_defaults_come_from_the_skill_and_the_schema(repo: Path) -> None:
    """A port.toml of four lines is a whole port."""
    port = load_port(repo / "port.toml", HEAD.format(skill="bert"))

    (model,) = port.components
    assert (model.name, model.path, model.reference, model.kind) == ("model", "", "transformers:BertModel", "encoder")
    assert (port.runtime, port.dtype, port.out, port.commit_code) == ("standalone", "float32", "ported", True)
    assert (port.gate, port.quantize, port.max_shard_bytes) == ("evidence", None, 5 * 10**9)


def test_the_file_overrides_the_skill_key_by_key(repo: Path) -> None:
    """One key of a component given here leaves the Skill's other keys."""
    port = load_port(
        repo / "port.toml",
        HEAD.format(skill="bert") + '[components.model]\npath = "/deep/er/"\n'.replace("/deep/er/", "deep/er/"),
    )

    assert (port.components[0].path, port.components[0].reference) == ("deep/er", "transformers:BertModel")


@pytest.mark.parametrize(
    ("mode", "bits", "group"), [("affine", 3, 64), ("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]
)
def test_each_quantization_mode_knows_its_group_size(repo: Path, mode: str, bits: int, group: int) -> None:
    """Without group_size a mode has the one that mx.quantize gives it."""
    text = HEAD.format(skill="bert") + f'[quantize]\nbits = {bits}\nmode = "{mode}"\n'

    quantize = load_port(repo / "port.toml", text).quantize

    assert quantize is not None
    assert (quantize.bits, quantize.group_size, quantize.mode) == (bits, group, mode)


def test_the_skill_says_what_quantization_keeps(repo: Path) -> None:
    """`keep` of the port replaces that of the Skill; without one the Skill's holds."""
    (repo / "skills" / "own").mkdir(parents=True)
    (repo / "skills/own/skill.toml").write_text('schema = 1\nextends = "bert"\n[quantize]\nkeep = ["embeddings.*"]\n')
    text = HEAD.format(skill="own") + "[quantize]\nbits = 4\n"

    port = load_port(repo / "port.toml", text)
    other = load_port(repo / "port.toml", text + 'keep = ["pooler.*"]\n')

    assert port.quantize is not None
    assert port.quantize.keep == ("embeddings.*",)
    assert other.quantize is not None
    assert other.quantize.keep == ("pooler.*",)


@pytest.mark.parametrize("make", [None, Path.mkdir], ids=["absent", "folder"])
def test_a_file_that_cannot_be_read_is_named(repo: Path, make) -> None:
    """A missing port.toml, and a folder of its name, are usage errors with a next step."""
    if make:
        make(repo / "port.toml")

    with pytest.raises(PortError) as caught:
        load_port(repo / "port.toml")

    assert caught.value.code == ExitCode.USAGE
    assert "`portwright init <source>` drafts one" in str(caught.value)


def test_a_text_that_was_right_is_not_checked_again(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second reading of a right text does not ask the schema; a changed text does."""
    assert check_once({"schema": 1}, "skill", "skill.toml", "schema = 1\n") == []
    monkeypatch.setattr("portwright.schema.check", lambda *args: pytest.fail("checked again"))

    assert check_once({"schema": 1}, "skill", "skill.toml", "schema = 1\n") == []
    with pytest.raises(pytest.fail.Exception):
        check_once({"schema": 1}, "skill", "skill.toml", "schema = 1 # other\n")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x" * 100_000])
def test_a_damaged_memory_of_right_texts_is_no_obstacle(repo: Path, content: bytes) -> None:
    """Whatever stands in the file of remembered texts, the text is checked anew."""
    cache = repo.parent / "cache"
    cache.mkdir()
    (cache / "validated.txt").write_bytes(content)

    (problem,) = check_once({"schema": 2}, "skill", "skill.toml", "schema = 2\n")

    assert problem.where == "skill.toml:1: schema"


def test_a_place_never_writes_control_characters(repo: Path) -> None:
    """A key of a hostile file cannot move the terminal's cursor."""
    assert where("port.toml", ["a\x1b[2Jb", "c\n"], None) == "port.toml: a\\x1b[2Jb.c\\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_no_text_is_a_crash(repo: Path, text: str) -> None:
    """Any text is refused as a usage error, with at least one problem."""
    with pytest.raises(PortError) as caught:
        _read(repo, text)

    assert caught.value.code == ExitCode.USAGE
    assert caught.value.problems


VALUES = st.sampled_from(
    ["1", "-1", "1.5", "nan", "inf", "true", '""', '"x"', "[]", "{}", "[[1]]", "{ a = 1 }", "2026-11-25", "01:02:03"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.integers(0, len(WHOLE.splitlines()) - 1), value=VALUES)
def test_no_value_in_any_place_is_a_crash(repo: Path, line: int, value: str) -> None:
    """Any value under any key is read, or refused at its own line."""
    lines = WHOLE.splitlines()
    key, equals, _ = lines[line].partition(" = ")
    if not equals:
        return
    lines[line] = f"{key} = {value}"
    try:
        _read(repo, "\n".join(lines) + "\n")
    except PortError as error:
        assert error.code == ExitCode.USAGE
        assert any(p.where.startswith(f"port.toml:{line + 1}:") for p in error.problems) or key in ("mode", "bits")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(WHOLE)))
def test_no_truncation_is_a_crash(repo: Path, cut: int) -> None:
    """A port.toml that ends anywhere is read, or refused as a usage error."""
    try:
        _read(repo, WHOLE[:cut])
    except PortError as error:
        assert error.code == ExitCode.USAGE


@pytest.mark.parametrize("depth", [10, 100, 390, 1000, 20_000])
def test_no_nesting_is_a_crash(repo: Path, depth: int) -> None:
    """However deep values nest, the message is about the file."""
    for value in ("[" * depth + "]" * depth, "{ a = " * depth + "1" + " }" * depth):
        with pytest.raises(PortError) as caught:
            _read(repo, HEAD.format(skill="bert") + f"dtype = {value}\n")
        assert str(caught.value).startswith("port.toml")
