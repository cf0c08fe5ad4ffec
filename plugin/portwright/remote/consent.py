"""Whether the code that comes with a source may be run: only if port.toml says so, and only the files that it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..records import ComponentSpec

KEY = "auto_map"
SUFFIX = ".py"


def classes(config: Mapping[str, Any]) -> list[str]:
    """Return the classes that a config.json names in its `auto_map`, as `module.Class` or `org/name--module.Class`."""
    table = config.get(KEY)
    values = table.values() if isinstance(table, Mapping) else [table]
    flat = [name for value in values for name in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(name for name in flat if isinstance(name, str)))


def check_asked(component: ComponentSpec, config: Mapping[str, Any], source: str) -> None:
    """Refuse a config that names code of its own while port.toml says neither yes nor no; raises PortError (USAGE)."""
    if component.remote_code is not None or config.get(KEY) is None:
        return
    named = ", ".join(classes(config)) or "no class"
    problem = f"this model's code comes with its weights ({named}), and port.toml does not say whether to run it"
    key = f"components.{component.name}.remote_code"
    hint = (
        f"read that code, then set {key} = true in port.toml; or {key} = false, "
        "if reference is a class of an installed library or of your own"
    )
    raise PortError(Problem(f"{_config(component, source)}: {KEY}", problem, hint), ExitCode.USAGE)


def check_reference(
    component: ComponentSpec, config: Mapping[str, Any], files: Iterable[str], source: str
) -> list[str]:
    """Return the paths of the component's Python files, one of which must hold the reference.

    `files` are paths inside the source. Raises PortError (USAGE) where the reference is in none of them.
    """
    folder = f"{component.path}/" if component.path else ""
    found = [path for path in sorted(files) if path.startswith(folder) and path.endswith(SUFFIX)]
    found = [path for path in found if "/" not in path.removeprefix(folder)]
    module = component.reference.partition(":")[0]
    if f"{folder}{module}{SUFFIX}" in found:
        return found
    held = ", ".join(path.removeprefix(folder) for path in found) or "none at all"
    named = [name.replace(".", ":") for name in classes(config) if name.count(".") == 1 and "--" not in name]
    elsewhere = [name for name in classes(config) if "--" in name]
    problem = f"remote_code = true, but {component.reference} is in none of the source's Python files ({held})"
    hint = "name a class of one of them as file:Class" + (f", such as {named[0]}" if named else "")
    if elsewhere and not named:
        hint = f"{elsewhere[0]} lies in another repository, which port.lock cannot pin: copy it beside the weights"
    where = f"port.toml: components.{component.name}.reference"
    raise PortError(Problem(where, problem, hint), ExitCode.USAGE)


def check_pinned(files: Iterable[str], pinned: Iterable[str] | None, source: str) -> None:
    """Refuse Python files that a lock, which pins others, does not pin; raises PortError (SOURCE) with each.

    A file that came later could be imported by one that has not changed.
    """
    known = {path for path in pinned or () if path.endswith(SUFFIX)}
    added = [path for path in files if path.endswith(SUFFIX) and path not in known] if known else []
    if added:
        problem = "this code is not pinned: it was not there when port.lock was written"
        hint = "remove it; or read it, and delete port.lock if it belongs there"
        raise PortError([Problem(f"{source}: {path}", problem, hint) for path in added], ExitCode.SOURCE)


def without_key(file: Path) -> bytes:
    """Return a file's content as it goes beside a port: JSON without `auto_map`, whose code does not come along."""
    content = file.read_bytes()
    if file.suffix != ".json" or KEY.encode() not in content:
        return content
    try:
        value = json.loads(content)
    except ValueError:
        return content
    if not isinstance(value, dict) or KEY not in value:
        return content
    del value[KEY]
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _config(component: ComponentSpec, source: str) -> str:
    return f"{source}: {component.path + '/' if component.path else ''}config.json"
