"""The code that a reference is made of: what stages depend on, and how it is run where it came with the weights."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ..errors import PortError, Problem
from ..records import ComponentSpec
from ..remote import code, consent
from .context import Port, digest, digest_text_file


def inputs_of(port: Port, component: ComponentSpec) -> dict[str, str]:
    """Name what a component's reference is made of, as inputs of a stage."""
    if not component.remote_code:
        return reference_inputs(component.reference, port.origin)
    files = _files(port, component)
    return {"the source's code": digest(sorted(files.items())), **versions("torch", "transformers", "diffusers")}


def reference_inputs(reference: str, folder: Path) -> dict[str, str]:
    """Name what the reference's code is made of, as inputs of a stage: versions, and the source of a repo's own module.

    A module that lies in the port's `folder` counts with its text, a package there with that of all its modules.
    """
    top = reference.partition(":")[0].partition(".")[0]
    own = folder / f"{top}.py"
    files = [own] if own.is_file() else sorted((folder / top).rglob("*.py"))
    if files:
        texts = {file.relative_to(folder).as_posix(): digest_text_file(file) for file in files}
        return {"the reference's source": digest(texts), **versions("torch")}
    return versions(*dict.fromkeys((top, "torch")))


def reference_of(component: ComponentSpec) -> str:
    """Return the class as a worker imports it."""
    return code.inside(component.reference) if component.remote_code else component.reference


def isolated(
    port: Port, component: ComponentSpec, stage: str, readable: Iterable[Path] = ()
) -> tuple[dict[str, Any], Path]:
    """Return what is added to a worker's job, and the empty folder that is the only one of ours it can write to."""
    out = port.paths.build(component.name).resolve() / "isolated" / stage
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    folder = (port.snapshot_root(component) / component.path).resolve()
    files = _files(port, component)
    reading = {*readable, *(folder / name for name in files)}
    told = {
        "folder": str(folder),
        "files": files,
        "writable": [str(out)],
        "readable": sorted(str(path.resolve()) for path in reading),
        "home": os.environ.get("HOME", ""),  # a user without an entry in the password file may have none
    }
    return {"remote_code": told, "path": None}, out


def check_left(out: Path) -> None:
    """Refuse what an isolated worker left, unless all of it is plain files: a link would be followed by us, who may."""
    odd = [p for p in sorted(out.rglob("*")) if p.is_symlink() or not (p.is_file() or p.is_dir())]
    if odd:
        hint = "no worker of portwright makes one: read the source's code"
        raise PortError([Problem(str(p), "the source's own code left something that is no file", hint) for p in odd])


def _files(port: Port, component: ComponentSpec) -> dict[str, str]:
    """Return name and sha256 of the component's Python files, as fetched and pinned."""
    folder = f"{component.path}/" if component.path else ""
    files = port.result("fetch", component)["files"]
    found = {str(f["path"]).removeprefix(folder): str(f["sha256"]) for f in files}
    return {name: sha256 for name, sha256 in sorted(found.items()) if name.endswith(consent.SUFFIX)}


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package, or "absent", as inputs of a stage."""
    return {f"the version of {package}": _version(package) for package in packages}


@cache
def _version(package: str) -> str:
    # Not importlib.metadata.version: it parses the whole description, 7 ms for each library at every `doit port`.
    try:
        found = re.search(r"^Version: *(\S+)", distribution(package).read_text("METADATA") or "", re.MULTILINE)
    except PackageNotFoundError:
        return "absent"
    return found[1] if found else "absent"
