"""The files around a port.toml keep every line that a person wrote."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from portwright import scaffold
from portwright.errors import PortError
from portwright.scaffold import PROJECT, Origin, origin

WHERE = Origin("https://example.org/portwright", "v9.9.9")
RUFF = {"repo": "https://github.com/astral-sh/ruff-pre-commit", "rev": "v0.6.0", "hooks": [{"id": "ruff"}]}
OURS = {
    "repo": WHERE.repo,
    "rev": WHERE.rev,
    "hooks": [{"id": "port-manifest"}, {"id": "port-spec"}, {"id": "port-skill"}],
}
CONFIGS = {
    "indented": """\
# my hooks
minimum_pre_commit_version: "3.0"
repos:
  # style
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.6.0  # pinned
    hooks:
      - id: ruff
""",
    "not-indented": """\
repos:
- repo: https://github.com/astral-sh/ruff-pre-commit
  rev: v0.6.0
  hooks:
  - id: ruff
""",
    "indented-by-four": """\
repos:
    -   repo: https://github.com/astral-sh/ruff-pre-commit
        rev: v0.6.0
        hooks:
        -   id: ruff
""",
    "comment-with-a-dash-first": """\
repos:
      # - repo: https://example.org/old
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.6.0
    hooks: [{id: ruff}]
exclude: |
  (?x)^(
    - nothing
  )$
""",
    "document-start": """\
---
default_language_version:
  python: python3.11
repos:   # all of them
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.6.0
    hooks:
      - id: ruff
...
""",
    "quoted-key": """\
"repos":
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.6.0
    hooks:
      - id: ruff
""",
    "keys-after": """\
repos:
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.6.0
    hooks:
      - id: ruff
fail_fast: true
ci:
  skip: [ruff]
""",
    "ours-in-a-comment": """\
# once: - id: port-manifest
repos:
  #  - id: port-manifest
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.6.0
    hooks:
      - id: ruff
""",
    "no-newline-at-the-end": """\
repos:
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.6.0
    hooks:
      - id: ruff""",
}
EMPTY = {
    "empty-list": "repos: []\n",
    "empty-list-with-comment": "repos: []  # none yet\n",
    "no-value": "repos:\n",
    "no-value-then-key": "repos:\nfail_fast: true\n",
    "no-value-then-list": "repos:\ndefault_stages:\n    - pre-commit\n",
    "no-repos": "fail_fast: true\n",
    "no-repos-document": "---\nfail_fast: true\n...\n",
    "only-comments": "# nothing yet\n\n",
    "blank": "\n  \n",
}


@pytest.mark.parametrize("old", CONFIGS.values(), ids=CONFIGS)
def test_hooks_are_added_to_a_persons_own(old: str) -> None:
    """Our repository is added, the others stay, and each of the person's lines is still there."""
    new = scaffold.pre_commit_config(old, WHERE, "x.yaml")

    assert {**yaml.safe_load(old), "repos": [OURS, RUFF]} == {
        key: value for key, value in yaml.safe_load(new).items() if key != "default_install_hook_types"
    }
    written = iter(new.splitlines())
    assert all(line in written for line in old.splitlines()), "a line is gone, or out of order"


@pytest.mark.parametrize("old", EMPTY.values(), ids=EMPTY)
def test_hooks_are_added_where_there_are_none(old: str) -> None:
    """A configuration without hooks gets ours, and keeps its other keys."""
    new = yaml.safe_load(scaffold.pre_commit_config(old, WHERE, "x.yaml"))

    assert new.pop("repos") == [OURS]
    assert new.pop("default_install_hook_types") == ["pre-commit", "pre-merge-commit", "pre-push"]
    assert new == {key: value for key, value in (yaml.safe_load(old) or {}).items() if key != "repos"}


@pytest.mark.parametrize("old", [*CONFIGS.values(), *EMPTY.values()], ids=[*CONFIGS, *EMPTY])
def test_hooks_are_added_once(old: str) -> None:
    """What init wrote it leaves alone the next time."""
    once = scaffold.pre_commit_config(old, WHERE, "x.yaml")

    assert scaffold.pre_commit_config(once, WHERE, "x.yaml") == once


@pytest.mark.parametrize(
    "old",
    [
        "repos:\n  - repo: local\n    hooks:\n      - id: port-manifest\n        name: x\n        language: system\n",
        "repos:\n- repo: x\n  rev: y\n  hooks:\n  -   id:   'port-spec'\n",
        'repos:\n- repo: x\n  rev: y\n  hooks:\n  - {"id": 1}\n  - {id: "port-skill"}\n',
    ],
    ids=["local", "quoted", "flow"],
)
def test_a_configuration_that_has_our_hooks_is_left_alone(old: str) -> None:
    """One of our hooks in any spelling is enough: the file stays as it is."""
    assert scaffold.pre_commit_config(old, WHERE, "x.yaml") == old


@pytest.mark.parametrize(
    ("old", "line"),
    [
        ("repos: [{repo: local, hooks: []}]\n", 1),
        ("# x\nfail_fast: true\nrepos: [\n  {repo: local, hooks: []},\n]\n", 3),
        ("{repos: []}\n", 1),
        ("---\n{fail_fast: true}\n", 2),
        ("- repo: local\n", 1),
        ("repos: &all\n  - repo: x\n", 1),
        ("repos: null\n", 1),
    ],
    ids=["flow", "flow-lines", "flow-document", "flow-after-start", "old-list", "anchor", "null"],
)
def test_a_form_that_is_not_understood_is_refused(old: str, line: int) -> None:
    """A configuration that text cannot be added to safely is refused, with its line and what to do."""
    with pytest.raises(PortError) as caught:
        scaffold.pre_commit_config(old, WHERE, "x.yaml")

    (problem,) = caught.value.problems
    assert problem.where == f"x.yaml:{line}"
    assert "write `repos:` as a list of lines" in problem.hint


def test_windows_line_ends_stay(repo: Path, portwright) -> None:
    """Files with CRLF keep it, in their old lines and in those that are added."""
    for name, text in {
        ".gitignore": "*.pyc\r\n",
        ".pre-commit-config.yaml": "repos: []\r\n",
        "dodo.py": "x = 1\r\n",
    }.items():
        (repo / name).write_bytes(text.encode())

    assert portwright("init", "file:weights").code == 0

    for name in (".gitignore", ".pre-commit-config.yaml", "dodo.py"):
        content = (repo / name).read_bytes()
        assert content.count(b"\n") == content.count(b"\r\n") >= 3, name


@pytest.mark.parametrize(
    ("rev", "read"), [("v0.1.0", "v0.1.0"), ("1234567890", "1234567890"), ("12e4", "12e4"), ("0.1", "0.1")]
)
def test_a_revision_is_read_back_as_text(rev: str, read: str) -> None:
    """A commit that looks like a number is quoted, so that YAML reads it as it is."""
    new = yaml.safe_load(scaffold.pre_commit_config(None, Origin("x", rev), "x.yaml"))

    assert new["repos"][0]["rev"] == read


def test_a_dodo_file_gets_our_tasks_after_its_own() -> None:
    """The import is added at the end; what stood before stays."""
    old = '"""Mine."""\n\n\ndef task_hello():\n    return {"actions": ["echo hello"]}\n'

    new = scaffold.dodo(old)

    assert new.startswith(old.rstrip("\n"))
    assert new.endswith("\n\nfrom portwright.tasks import *  # noqa: F403\n")
    assert scaffold.dodo(new) == new


def test_a_dodo_file_keeps_its_own_configuration() -> None:
    """The person's DOIT_CONFIG wins over ours, key by key."""
    new = scaffold.dodo('DOIT_CONFIG = {"default_tasks": ["hello"], "verbosity": 0}\n')

    names: dict = {}
    exec(new.replace("from portwright.tasks import *", 'DOIT_CONFIG = {"verbosity": 2, "reporter": "ours"}'), names)
    assert names["DOIT_CONFIG"] == {"default_tasks": ["hello"], "verbosity": 0, "reporter": "ours"}


@pytest.mark.parametrize(
    "old",
    [
        "from portwright.tasks import *\n",
        "from  portwright.tasks  import ports\nglobals().update(ports('a/*/port.toml'))\n",
        "import portwright.tasks\n",
    ],
)
def test_a_dodo_file_with_our_tasks_is_left_alone(old: str) -> None:
    """A dodo.py that already imports our tasks, in any form, stays as it is."""
    assert scaffold.dodo(old) == old


def test_another_package_of_a_similar_name_is_not_ours() -> None:
    """`import portwright_extras` does not bring our tasks."""
    assert scaffold.IMPORT in scaffold.dodo("import portwright_extras\n")


def test_gitignore_gets_only_what_is_missing() -> None:
    """Entries that are there are not repeated; own lines and their order stay."""
    old = "*.pyc\n__pycache__/\n\n# data\n.portwright/"

    new = scaffold.gitignore(old)

    assert new.splitlines()[:5] == old.splitlines()
    assert new.count("__pycache__/") == new.count(".portwright/") == 1
    assert scaffold.gitignore(new) == new


# -- where portwright was installed from ---------------------------------------------------------------------------


class _Distribution:
    def __init__(self, recorded: str | None) -> None:
        self.recorded = recorded

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.recorded


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    def install(recorded: object) -> None:
        text = recorded if isinstance(recorded, str) or recorded is None else json.dumps(recorded)
        monkeypatch.setattr(scaffold, "distribution", lambda name: _Distribution(text))

    return install


def _commit(folder: Path) -> str:
    folder.mkdir(parents=True)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q", folder], check=True)
    subprocess.run(["git", "-C", folder, *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    return subprocess.run(
        ["git", "-C", folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_origin_is_the_repository_that_pip_recorded(installed) -> None:
    """`pip install git+URL` records URL and commit: the hook is taken from there."""
    installed({"url": "https://example.org/pw.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}})

    assert origin() == Origin("https://example.org/pw.git", "a" * 40)


@pytest.mark.parametrize("editable", [True, False])
def test_the_origin_is_the_folder_that_is_a_repository(installed, tmp_path: Path, editable: bool) -> None:
    """`pip install .` of a clone, its path with a space, records the folder: the hook is its current commit."""
    head = _commit(tmp_path / "a clone")
    installed({"url": (tmp_path / "a clone").as_uri(), "dir_info": {"editable": editable}})

    assert origin() == Origin(str(tmp_path / "a clone"), head)


def test_a_folder_inside_another_repository_is_not_the_origin(installed, tmp_path: Path) -> None:
    """A folder that lies in some other repository cannot be cloned by itself."""
    _commit(tmp_path / "outer")
    (tmp_path / "outer" / "pw").mkdir()
    installed({"url": (tmp_path / "outer" / "pw").as_uri(), "dir_info": {}})

    assert origin().repo == PROJECT


@pytest.mark.parametrize(
    "recorded",
    [
        None,
        "",
        "{",
        "[]",
        {},
        {"url": "https://example.org/pw-0.1.tar.gz", "archive_info": {"hash": "sha256=00"}},
        {"url": "file:///nowhere/at/all", "dir_info": {}},
        {"url": "https://example.org/hg", "vcs_info": {"vcs": "hg", "commit_id": "1"}},
        {"url": "https://example.org/x", "vcs_info": None},
    ],
    ids=["absent", "empty", "not-json", "list", "nothing", "archive", "gone", "mercurial", "null"],
)
def test_otherwise_the_origin_is_the_project(installed, recorded: object) -> None:
    """Where pip recorded no git repository the project's own address and this version's tag are used."""
    installed(recorded)

    assert origin() == Origin(PROJECT, "v0.1.0")


def test_an_empty_repository_is_not_the_origin(installed, tmp_path: Path) -> None:
    """A folder without any commit has nothing that pre-commit could check out."""
    subprocess.run(["git", "init", "-q", tmp_path / "new"], check=True)
    installed({"url": (tmp_path / "new").as_uri(), "dir_info": {}})

    assert origin().repo == PROJECT
