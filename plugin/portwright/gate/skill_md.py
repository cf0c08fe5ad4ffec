"""Hold a Skill folder against the Agent Skills format (agentskills.io) and against our own rules and schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..errors import Problem
from .frontmatter import Frontmatter, FrontmatterError, Value, read_frontmatter

# The format's own limits; its validator refuses unknown keys.
_LIMITS = {"name": 64, "description": 1024, "license": 1024, "compatibility": 500, "allowed-tools": 4096}
_REQUIRED = ("name", "description")
_KNOWN = (*_LIMITS, "metadata")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MOST_LINES = 500


def skill_md_problems(path: str, content: bytes) -> Iterator[Problem]:
    """Give everything that is wrong with a SKILL.md; its folder's name is read from `path`."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        yield Problem(path, f"it is not UTF-8 (byte {error.start})", "save it as UTF-8")
        return
    try:
        front = read_frontmatter(text)
    except FrontmatterError as error:
        yield Problem(f"{path}:{error.line}", error.problem, error.hint)
        return
    yield from _key_problems(path, front)
    lines = front.body.rstrip().count("\n") + 1
    if not front.body.strip():
        yield Problem(f"{path}:{front.body_line}", "it has no text after the frontmatter", "say what the Skill does")
    elif lines > _MOST_LINES:
        said = f"its text has {lines} lines, and at most {_MOST_LINES} should be loaded at once"
        yield Problem(f"{path}:{front.body_line}", said, "move details to files in references/")


def _key_problems(path: str, front: Frontmatter) -> Iterator[Problem]:
    for key in _REQUIRED:
        if key not in front.keys:
            yield Problem(f"{path}:1", f"the key {key!r} is missing", f"add {key}: …")
    for key, value in front.keys.items():
        where = f"{path}:{front.lines[key]}: {key}"
        if key not in _KNOWN:
            hint = f"known keys: {', '.join(_KNOWN)}; anything else belongs under metadata"
            yield Problem(where, "the Agent Skills format does not know this key", hint)
        elif key == "metadata":
            yield from _metadata_problems(path, where, value)
        elif isinstance(value, Mapping):
            yield Problem(where, "expected text, found nested keys")
        else:
            yield from _text_problems(where, key, value)
    name = front.keys.get("name")
    folder = path.split("/")[-2] if "/" in path else ""
    if isinstance(name, Value) and name.text and folder and name.text != folder:
        said = f"the name is {name.text!r}, and the folder is {folder!r}"
        yield Problem(f"{path}:{name.line}: name", said, "they must be the same")


def _text_problems(where: str, key: str, value: Value) -> Iterator[Problem]:
    if not value.text.strip():
        yield Problem(where, "it is empty")
    elif not value.is_text:
        yield Problem(where, f"{value.text} is not text in YAML", "put it in quotes")
    elif len(value.text) > _LIMITS[key]:
        yield Problem(where, f"it has {len(value.text)} characters, at most {_LIMITS[key]} are allowed", "shorten it")
    elif key == "name" and not _NAME.fullmatch(value.text):
        said = f"{value.text!r} is no name for a Skill"
        yield Problem(where, said, "use lower-case letters, digits and single hyphens")


def _metadata_problems(path: str, where: str, value: Value | Mapping[str, Value]) -> Iterator[Problem]:
    if isinstance(value, Value):
        yield Problem(where, "expected nested keys, found text" if value.text else "it is empty")
        return
    for key, inner in value.items():
        if not inner.is_text:
            shown = inner.text or "nothing"
            yield Problem(f"{path}:{inner.line}: metadata.{key}", f"{shown} is not text in YAML", "put it in quotes")
