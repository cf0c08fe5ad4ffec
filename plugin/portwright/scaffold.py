"""The files around a port.toml: dodo.py, the pre-commit configuration, .gitignore. A person's own lines stay."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlparse

import tomli

from . import __version__
from .errors import ExitCode, PortError, Problem

PROJECT = "https://github.com/portwright/portwright"
HOOKS = ("port-manifest", "port-spec", "port-skill")
HOOK_TYPES = "[pre-commit, pre-merge-commit, pre-push]"
IMPORT = "from portwright.tasks import *  # noqa: F403\n"
DODO = f'"""Tasks of every port in this repository: `doit list --all` names them."""\n{IMPORT}'
IGNORED = (".portwright/", "ported/**/*.safetensors", "*.golden.tar", "__pycache__/")
GROUPS = ("fetch", "codegen", "bind", "remap", "capture", "verify", "port")
_TASKS = re.compile(r"^\s*(from\s+portwright\.tasks\s+import|import\s+portwright\b)", re.MULTILINE)
_OURS = re.compile(rf"^\s*-\s*(?:\{{\s*)?id\s*:\s*['\"]?(?:{'|'.join(HOOKS)})\b", re.MULTILINE)
_REPOS = re.compile(r"""(["']?)repos\1\s*:""")
_OWN_CONFIG = f"""_own_config = DOIT_CONFIG
{IMPORT}
DOIT_CONFIG = {{**DOIT_CONFIG, **_own_config}}  # your settings win  # noqa: F405
"""


@dataclass(frozen=True)
class Origin:
    """The repository from which pre-commit can install this portwright."""

    repo: str
    rev: str


def origin() -> Origin:
    """Return where this portwright was installed from, if pip recorded a repository or a folder that is one; else
    the project's own address and this version's tag."""
    try:
        recorded = json.loads(distribution("portwright").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        recorded = {}
    if isinstance(recorded, dict):
        url, vcs = str(recorded.get("url", "")), recorded.get("vcs_info")
        if isinstance(vcs, dict) and vcs.get("vcs") == "git" and vcs.get("commit_id"):
            return Origin(url, str(vcs["commit_id"]))
        if "dir_info" in recorded and url.startswith("file://"):
            folder = unquote(urlparse(url).path)
            head = _head(folder)
            if head:
                return Origin(folder, head)
    return Origin(PROJECT, f"v{__version__}")


def _head(folder: str) -> str:
    """Return the commit that is checked out in a folder which is the top of a git repository, or an empty text."""
    command = ["git", "-C", folder, "rev-parse", "--show-cdup", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return ""
    up, _, head = found.stdout.partition("\n")
    return head.strip() if found.returncode == 0 and not up else ""


def brings_tasks(dodo: str) -> bool:
    """Tell whether the text of a dodo.py imports our tasks."""
    return _TASKS.search(dodo) is not None


def names_loader(pyproject: str) -> bool:
    """Tell whether the text of a pyproject.toml has `[tool.doit] loader = "portwright"`."""
    try:
        data = tomli.loads(pyproject)
    except ValueError:
        return False  # whoever reads it will say so
    tool = data.get("tool", {})
    doit = tool.get("doit", {}) if isinstance(tool, dict) else {}
    return isinstance(doit, dict) and doit.get("loader") == "portwright"


def dodo(old: str | None) -> str:
    """Return dodo.py with the import of our tasks; raises PortError where a task of the person's has a name of ours."""
    if not old or not old.strip():
        return DODO
    if brings_tasks(old):
        return old
    problems = [
        Problem(f"dodo.py:{number}", f"task_{found[1]} is also the name of portwright's tasks",
                "give yours another name, then run init again")
        for number, line in enumerate(old.splitlines(), 1)
        if (found := re.match(rf"(?:async )?def task_({'|'.join(GROUPS)})\b", line))
    ]  # fmt: skip
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    own = re.search(r"^DOIT_CONFIG\b", old, re.MULTILINE) is not None
    return _added(old, ["", *(_OWN_CONFIG if own else IMPORT).rstrip("\n").split("\n")])


def _added(old: str, lines: list[str]) -> str:
    """Return a text with lines added at its end, in its own line ends."""
    end = "\r\n" if "\r\n" in old else "\n"
    return end.join([old.rstrip("\r\n"), *lines]) + end


def gitignore(old: str | None, ignored: tuple[str, ...] = IGNORED) -> str:
    """Return .gitignore with our entries; only those that are missing are added."""
    lines = (old or "").splitlines()
    missing = [entry for entry in ignored if entry not in (line.strip() for line in lines)]
    if not missing:
        return old or ""
    added = ["# portwright: made again by `doit port`", *missing]
    return _added(old, ["", *added]) if old and old.strip() else "\n".join(added) + "\n"


def pre_commit_config(old: str | None, where: Origin, file: str) -> str:
    """Return .pre-commit-config.yaml with our hooks; raises PortError where the file's form is not understood.

    The lines are put in as text, so that comments and spacing of the person's file stay.
    """
    if not old or not old.strip():
        return f"default_install_hook_types: {HOOK_TYPES}\nrepos:\n" + _entry(where, "  ")
    if _OURS.search(old):
        return old
    lines = old.splitlines()
    at = next((i for i, line in enumerate(lines) if _REPOS.match(line)), None)
    if at is None:
        at = _no_repos(lines, file)
    else:
        rest = lines[at].split(":", 1)[1].split("#")[0].strip()
        if rest not in ("", "[]"):
            raise _not_block(file, at)
        lines[at] = lines[at].replace("[]", "", 1).rstrip() if rest else lines[at]
    after = lines[at + 1 :]
    item = next((line for line in after if line.strip() and not line.lstrip().startswith("#")), "")
    indent = re.sub(r"\S.*", "", item) if item.lstrip().startswith("-") else "  "
    lines[at + 1 : at + 1] = _entry(where, indent).rstrip("\n").splitlines()
    if not any(line.startswith("default_install_hook_types") for line in lines):
        lines.insert(at, f"default_install_hook_types: {HOOK_TYPES}")
    end = "\r\n" if "\r\n" in old else "\n"
    return end.join(lines) + end


def _no_repos(lines: list[str], file: str) -> int:
    """Put the line `repos:` into a configuration that has none, and return its index."""
    for index, line in enumerate(lines):
        if line.startswith(("{", "[", "-")) and line.rstrip() != "---":
            raise _not_block(file, index)
    at = next((i for i, line in enumerate(lines) if line.rstrip() == "..."), len(lines))  # the end of the document
    lines.insert(at, "repos:")
    return at


def _not_block(file: str, index: int) -> PortError:
    hint = "write `repos:` as a list of lines that begin with '- repo:', then run init again"
    return PortError(Problem(f"{file}:{index + 1}", "`repos` is not a list in block form", hint), ExitCode.USAGE)


def _entry(where: Origin, indent: str) -> str:
    hooks = "".join(f"{indent}  - id: {hook}\n" for hook in HOOKS)
    rev = where.rev if re.search(r"[a-df-zA-DF-Z]", where.rev) else json.dumps(where.rev)  # 12e4 would be a number
    return f"{indent}- repo: {json.dumps(where.repo)}\n{indent}  rev: {rev}\n{indent}  hooks:\n{hooks}"
