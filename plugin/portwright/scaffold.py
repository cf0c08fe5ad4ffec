"""The files around a port.toml: dodo.py, the pre-commit configuration, .gitignore. A person's own lines stay."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlparse

from . import __version__
from .errors import ExitCode, PortError, Problem

PROJECT = "https://github.com/portwright/portwright"
HOOKS = ("port-manifest", "port-spec", "port-skill")
HOOK_TYPES = "[pre-commit, pre-merge-commit, pre-push]"
IMPORT = "from portwright.tasks import *  # noqa: F403\n"
DODO = f'"""Tasks of every port in this repository: `doit list --all` names them."""\n{IMPORT}'
IGNORED = (".portwright/", "ported/**/*.safetensors", "__pycache__/")
_TASKS = re.compile(r"^\s*(from\s+portwright\.tasks\s+import|import\s+portwright)", re.MULTILINE)


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
    url = str(recorded.get("url", ""))
    if "vcs_info" in recorded:
        return Origin(url, str(recorded["vcs_info"].get("commit_id", f"v{__version__}")))
    if "dir_info" in recorded and url.startswith("file://"):
        folder = unquote(urlparse(url).path)
        found = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return Origin(folder, found.stdout.strip())
    return Origin(PROJECT, f"v{__version__}")


def dodo(old: str | None) -> str:
    """Return dodo.py with the import of our tasks."""
    if not old:
        return DODO
    return old if _TASKS.search(old) else old.rstrip("\n") + "\n\n" + IMPORT


def gitignore(old: str | None, ignored: tuple[str, ...] = IGNORED) -> str:
    """Return .gitignore with our entries; only those that are missing are added."""
    lines = (old or "").splitlines()
    missing = [entry for entry in ignored if entry not in (line.strip() for line in lines)]
    if not missing:
        return old or ""
    gap = [""] if lines and lines[-1].strip() else []
    return "\n".join([*lines, *gap, "# portwright: made again by `doit port`", *missing]) + "\n"


def pre_commit_config(old: str | None, where: Origin, file: str) -> str:
    """Return .pre-commit-config.yaml with our hooks; raises PortError where the file's form is not understood.

    The lines are put in as text, so that comments and spacing of the person's file stay.
    """
    if not old or not old.strip():
        return f"default_install_hook_types: {HOOK_TYPES}\nrepos:\n" + _entry(where, "  ")
    if any(f"id: {hook}" in old for hook in HOOKS):
        return old
    lines = old.splitlines()
    at = next((i for i, line in enumerate(lines) if re.match(r"repos\s*:", line)), None)
    if at is None:
        return "\n".join([*lines, "repos:"]) + "\n" + _entry(where, "  ")
    rest = lines[at].split(":", 1)[1].split("#")[0].strip()
    if rest not in ("", "[]"):
        hint = "write `repos:` as a list of lines that begin with '- repo:', then run init again"
        raise PortError(Problem(f"{file}:{at + 1}", "`repos` is not a list in block form", hint), ExitCode.USAGE)
    lines[at] = "repos:" if rest == "[]" else lines[at]
    indent = next((re.match(r"\s*", line)[0] for line in lines[at + 1 :] if line.lstrip().startswith("- ")), "  ")  # type: ignore[index]
    entry = _entry(where, indent).rstrip("\n").splitlines()
    lines[at + 1 : at + 1] = entry
    if not any(line.startswith("default_install_hook_types") for line in lines):
        lines.insert(at, f"default_install_hook_types: {HOOK_TYPES}")
    return "\n".join(lines) + "\n"


def _entry(where: Origin, indent: str) -> str:
    hooks = "".join(f"{indent}  - id: {hook}\n" for hook in HOOKS)
    return f"{indent}- repo: {json.dumps(where.repo)}\n{indent}  rev: {where.rev}\n{indent}  hooks:\n{hooks}"
