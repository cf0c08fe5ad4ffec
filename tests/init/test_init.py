"""`portwright init` drafts what a port needs, and refuses before it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from portwright.spec import load_port
from support.cli import Run
from support.tiny import BERT, component, pipeline, safetensors


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def test_init_drafts_four_files(repo: Path, portwright: Run) -> None:
    """In an empty repository port.toml, dodo.py, the hooks and .gitignore are written, and all of them are right."""
    ran = portwright("init", "file:weights")

    assert ran.code == 0, ran.err
    assert set(_files(repo)) >= {"port.toml", "dodo.py", ".pre-commit-config.yaml", ".gitignore"}
    port = load_port(repo / "port.toml")
    assert (port.name, port.skill, port.source.text) == ("weights", "bert", "file:weights")
    assert [c.reference for c in port.components] == ["transformers:BertModel"]
    config = yaml.safe_load((repo / ".pre-commit-config.yaml").read_text())
    assert config["default_install_hook_types"] == ["pre-commit", "pre-merge-commit", "pre-push"]
    assert [hook["id"] for hook in config["repos"][0]["hooks"]] == ["port-manifest", "port-spec", "port-skill"]
    ignored = (repo / ".gitignore").read_text().splitlines()
    assert {".portwright/", "ported/**/*.safetensors"} <= set(ignored)
    assert "from portwright.tasks import *" in (repo / "dodo.py").read_text()
    assert "12 numbers" in ran.out
    assert "next: pre-commit install && doit port" in ran.out


def test_the_dodo_file_has_two_lines(repo: Path, portwright: Run) -> None:
    """The drafted dodo.py is one docstring and one import."""
    portwright("init", "file:weights")

    assert len((repo / "dodo.py").read_text().splitlines()) == 2


def test_init_never_replaces_a_port(repo: Path, portwright: Run) -> None:
    """Where a port.toml is, init refuses and writes nothing at all."""
    (repo / "port.toml").write_text("# mine\n")
    before = _files(repo)

    ran = portwright("init", "file:weights")

    assert ran.code == 2
    assert (
        ran.err
        == "port.toml: is there already\n    fix: edit it, or run init in another folder: one port.toml a folder\n"
    )
    assert _files(repo) == before


@pytest.mark.parametrize(
    ("make", "words", "said"),
    [
        (lambda repo: None, ["file:nowhere"], "there is no file or folder"),
        (lambda repo: component(repo / "bare"), ["file:bare"], "no folder of it holds both a config.json and *.safet"),
        (lambda repo: None, ["weights"], "it does not say what kind of source it is"),
        (lambda repo: None, ["file:weights", "--skill", "brt"], "did you mean 'bert'?"),
        (lambda repo: None, ["file:weights", "--name", "Mini LM"], "port.toml:3: name: 'Mini LM' does not have"),
        (lambda repo: (repo / ".gitignore").write_bytes(b"\xff\n"), ["file:weights"], ".gitignore: not UTF-8 text"),
        (
            lambda repo: (repo / ".pre-commit-config.yaml").write_text("repos: [{repo: local, hooks: []}]\n"),
            ["file:weights"],
            ".pre-commit-config.yaml:1: `repos` is not a list in block form",
        ),
        (
            lambda repo: (repo / "dodo.py").write_text("x = 1\n\n\ndef task_fetch():\n    pass\n"),
            ["file:weights"],
            "dodo.py:4: task_fetch is also the name of portwright's tasks",
        ),
    ],
    ids=["absent", "no-config", "no-scheme", "skill", "name", "not-utf8", "flow-yaml", "task-name"],
)
def test_what_is_refused_writes_nothing(repo: Path, portwright: Run, make, words: list[str], said: str) -> None:
    """A wrong source, name, Skill or existing file is named with its fix before anything is written."""
    make(repo)
    before = _files(repo)

    ran = portwright("init", *words)

    assert ran.code in (2, 6)
    assert said in ran.err
    assert "fix: " in ran.err
    assert _files(repo) == before


def test_a_pipeline_has_its_components(repo: Path, portwright: Run) -> None:
    """A source in diffusers' form gives one component for each folder with weights, each with its class and kind."""
    pipeline(repo / "sd")

    ran = portwright("init", "file:sd")

    assert ran.code == 0, ran.err
    port = load_port(repo / "port.toml")
    assert {c.name: (c.path, c.reference, c.kind) for c in port.components} == {
        "text_encoder": ("text_encoder", "transformers:CLIPTextModel", "encoder"),
        "unet": ("unet", "diffusers:UNet2DConditionModel", "unet"),
        "vae": ("vae", "diffusers:AutoencoderKL", "vae"),
    }
    assert port.skill == "generic"


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["a/vae", "b/vae"], {"vae", "vae_2"}),
        (["1_Pooling", "2_Dense"], {"model_1_pooling", "model_2_dense"}),
        (["Text-Encoder", "äö"], {"text_encoder", "model"}),
        (["x" * 70, "y"], {"x" * 48, "y"}),
        (['quo"te', "emoji😀"], {"quo_te", "emoji"}),
    ],
    ids=["same-name", "digits", "capitals", "long", "odd-characters"],
)
def test_every_folder_becomes_a_name_that_port_toml_allows(
    repo: Path, portwright: Run, folders: list[str], names: set[str]
) -> None:
    """Folders of any name become distinct component names, and the draft can be read back."""
    for folder in folders:
        component(repo / "source" / folder, BERT)

    ran = portwright("init", "file:source", "--skill", "generic")

    assert ran.code == 0, ran.err
    port = load_port(repo / "port.toml")
    assert {c.name for c in port.components} == names
    assert {c.path for c in port.components} == set(folders)


def test_a_config_that_names_no_class_is_left_to_the_person(repo: Path, portwright: Run) -> None:
    """Where config.json names no class the draft has a line that asks for it."""
    component(repo / "own", {"hidden_size": 4})

    ran = portwright("init", "file:own")

    assert ran.code == 0, ran.err
    assert 'reference = "module:Class"  # name the PyTorch class here' in (repo / "port.toml").read_text()


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"architectures": "BertModel"}', '{"architectures": [3]}', ""])
def test_a_strange_config_is_no_crash(repo: Path, portwright: Run, text: str) -> None:
    """Whatever stands in config.json, init drafts or says why not."""
    component(repo / "odd", BERT)
    (repo / "odd" / "config.json").write_text(text)

    ran = portwright("init", "file:odd")

    assert ran.code in (0, 2), ran.err


def test_a_damaged_checkpoint_is_named(repo: Path, portwright: Run) -> None:
    """A safetensors file whose header is cut is named before anything is written."""
    (repo / "weights" / "model.safetensors").write_bytes(safetensors({"a": (2, 2)})[:20])

    ran = portwright("init", "file:weights")

    assert ran.code == 6, ran.out
    assert "model.safetensors" in ran.err
    assert not (repo / "port.toml").exists()


def test_a_port_in_a_folder_uses_the_dodo_file_above(repo: Path, portwright: Run, monkeypatch) -> None:
    """A second port lower down in the repository gets its own port.toml, and shares dodo.py and hooks."""
    portwright("init", "file:weights")
    component(repo / "ports" / "second" / "weights", BERT)
    monkeypatch.chdir(repo / "ports" / "second")
    hooks = (repo / ".pre-commit-config.yaml").read_text()

    ran = portwright("init", "file:weights", "--name", "second")

    assert ran.code == 0, ran.err
    assert (repo / "ports/second/port.toml").is_file()
    assert not (repo / "ports/second/dodo.py").exists()
    assert (repo / ".pre-commit-config.yaml").read_text() == hooks


def test_the_loader_of_a_pyproject_stands_for_a_dodo_file(repo: Path, portwright: Run) -> None:
    """Where pyproject.toml names our doit loader no dodo.py is written."""
    (repo / "pyproject.toml").write_text('[tool.doit]\nloader = "portwright"\n')

    assert portwright("init", "file:weights").code == 0
    assert (repo / "port.toml").is_file()
    assert not (repo / "dodo.py").exists()


@pytest.mark.parametrize("text", ["", "[tool]\n", "tool = 3\n", "[tool.doit]\nverbosity = 2\n", "not toml"])
def test_another_pyproject_does_not(repo: Path, portwright: Run, text: str) -> None:
    """Any other pyproject.toml, even a broken one, leaves the dodo.py to be written."""
    (repo / "pyproject.toml").write_text(text)

    assert portwright("init", "file:weights").code == 0
    assert (repo / "dodo.py").is_file()


def test_a_dodo_file_above_without_our_tasks_is_no_obstacle(repo: Path, portwright: Run, monkeypatch) -> None:
    """The repository's own dodo.py stays as it is where a port lower down gets one for itself."""
    text = "def task_fetch():\n    return None\n"
    (repo / "dodo.py").write_text(text)
    component(repo / "port" / "weights", BERT)
    monkeypatch.chdir(repo / "port")

    assert portwright("init", "file:weights").code == 0
    assert (repo / "dodo.py").read_text() == text
    assert (repo / "port" / "dodo.py").is_file()


def test_a_local_skill_that_detects_the_model_is_chosen(repo: Path, portwright: Run) -> None:
    """A Skill of the repository comes before a built-in one that also fits."""
    folder = repo / "skills" / "ours"
    folder.mkdir(parents=True)
    (folder / "skill.toml").write_text('schema = 1\nextends = "bert"\n[detect]\nmodel_type = ["bert"]\n')

    portwright("init", "file:weights")

    assert load_port(repo / "port.toml").skill == "ours"


def test_init_reads_no_weights(repo: Path, portwright: Run) -> None:
    """Only listing, configs and headers are read: weights that are cut short do not matter to a draft."""
    file = repo / "weights" / "model.safetensors"
    head = json.dumps({"w": {"dtype": "F32", "shape": [1 << 20, 1 << 10], "data_offsets": [0, 4 << 30]}}).encode()
    with file.open("wb") as stream:
        stream.write(len(head).to_bytes(8, "little") + head)
        stream.truncate(8 + len(head) + (4 << 30))  # sparse: four gigabytes that nobody should read

    ran = portwright("init", "file:weights")

    assert ran.code == 0, ran.err
    assert "1,073,741,824 numbers" in ran.out
