"""Recompute the digest of every committed input, and hold it against what manifest and evidence say was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .. import canonical
from ..errors import PortError
from ..evidence import EVIDENCE, MANIFEST
from ..inputs import LOCK, component_files, folder_of, out_folder, plan_digest, skill_digest
from .reader import REBUILD, Reader
from .tree import FILE

_Json = Mapping[str, Any]
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize \d+\n"
)
_POINTER_LIMIT = 1024  # git-lfs itself takes nothing longer for a pointer
_REGENERABLE = ("model.py", ".base/model.py")


def check_inputs(reader: Reader, port: _Json, lock: _Json, lock_text: bytes, manifest: _Json, evidence: _Json) -> None:
    """Note every input that is not the measured one; `port` is the parsed port.toml."""
    inputs = manifest["inputs"]
    current = {
        LOCK: ("lock", canonical.sha256_text(lock_text)),
        "port.toml": ("plan", plan_digest(port)),
        f"{LOCK}: skill.slices": ("skill", skill_digest(lock)),
    }
    for name, (key, digest) in current.items():
        if inputs[key] != digest:
            reader.report(name, _changed(inputs[key], digest))
    out = out_folder(port)
    same = lock["components"].keys() == manifest["components"].keys()  # if not, check_proof says so once
    expected = component_files(lock["components"] if same else ())
    committed = bool(port.get("out", {}).get("commit_code", True))
    for path in expected:
        _check_file(reader, f"{out}/{path}", path, inputs, committed)
    goldens = [f"{folder_of(name, lock['components'])}golden" for name in lock["components"]]
    known = {"lock", "plan", "skill", "weights", *expected, *goldens}
    for key in sorted(known - inputs.keys()) if same else ():
        reader.report(MANIFEST, "no digest of this input is there", place=f"inputs: {key}")
    for key in sorted(inputs.keys() - known) if same else ():
        reader.report(MANIFEST, "port.lock has no component with this input", place=f"inputs: {key}")
    _check_weights(reader, out, inputs["weights"])
    for key, ours, theirs in _differences(evidence["inputs"], inputs):
        reader.report(EVIDENCE, f"{ours} here and {theirs} in the manifest", place=f"inputs: {key}")


def _check_file(reader: Reader, name: str, path: str, inputs: _Json, committed: bool) -> None:
    if not committed and path.endswith(_REGENERABLE) and reader.kind(name) is None:
        pristine = f"{path.removesuffix('model.py').removesuffix('.base/')}.base/model.py"
        if path != pristine and inputs.get(path) != inputs.get(pristine):
            said = "it was edited by hand, and with commit_code = false only an unedited one may be left out of git"
            reader.report(name, said, f"git add -f {reader.at(name)}, or set commit_code = true in port.toml")
        return
    content = reader.content(name)
    if content is None:
        return
    digest = canonical.sha256_text(content)
    if path in inputs and inputs[path] != digest:
        reader.report(name, _changed(inputs[path], digest))
    if name.endswith(".json"):
        reader.parse(name, content, "portmap" if name.endswith("portmap.json") else None)


def _check_weights(reader: Reader, out: str, measured: _Json) -> None:
    """Check the weights that are committed, as files or as LFS pointers; git cannot speak for others."""
    folder = reader.at(f"{out}/")
    for path, kind in sorted(reader.tree.kinds().items()):
        if not (path.startswith(folder) and path.endswith(".safetensors")):
            continue
        name, short = path.removeprefix(reader.folder), path.removeprefix(folder)
        if kind != FILE:
            reader.report(name, f"it is {kind}; the gate reads only files of this repository", "commit the file itself")
            continue
        if short not in measured:
            reader.report(name, "these weights were not measured", f"git rm --cached {path}")
            continue
        try:
            digest = _digest_of_weights(reader, path)
        except PortError as error:
            reader.problems += error.problems
            continue
        if digest != measured[short]:
            digests = f"{_brief(measured[short])} was measured, {_brief(digest)} is here"
            reader.report(name, f"these weights are of another build ({digests})")


def _digest_of_weights(reader: Reader, path: str) -> str:
    try:
        pointer = _POINTER.fullmatch(reader.tree.read(path, _POINTER_LIMIT))
    except PortError:
        pointer = None
    return canonical.PREFIX + pointer.group(1).decode() if pointer else reader.tree.sha256(path)


def check_holes(reader: Reader, port: _Json, lock: _Json, manifest: _Json) -> None:
    """Note every hole that is still open: those of the manifest, and those of a model.py that nobody edited."""
    out, inputs = out_folder(port), manifest["inputs"]
    listed = [(str(hole.get("component", "model")), hole["where"], hole["reason"]) for hole in manifest["holes"]]
    for name in lock["components"]:
        folder = folder_of(name, lock["components"])
        unedited = inputs.get(f"{folder}model.py") == inputs.get(f"{folder}.base/model.py")
        portmap = _quietly(reader, f"{out}/{folder}portmap.json")
        for hole in portmap.get("holes", ()) if unedited else ():
            listed.append((name, str(hole.get("where")), str(hole.get("reason"))))
    for component, where, reason in sorted(set(listed)):
        name = f"{out}/{folder_of(component, lock['components'])}model.py"
        reader.report(name, f"a hole is open: {reason}", f"fill it by hand, then {REBUILD}", place=where)


def _quietly(reader: Reader, name: str) -> _Json:
    """Read a file whose problems have been noted already."""
    silent = Reader(reader.tree, reader.folder)
    return silent.parsed(name, None) or {}


def _differences(ours: _Json, theirs: _Json) -> Iterator[tuple[str, str, str]]:
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from ((f"{key}: {inner}", a, b) for inner, a, b in _differences(one, other))
        elif one != other:
            yield key, _brief(one), _brief(other)


def _changed(measured: str, current: str) -> str:
    return f"it changed after it was measured ({_brief(measured)} was measured, {_brief(current)} is here)"


def _brief(digest: object) -> str:
    return "absent" if digest is None else str(digest)[:19]  # "sha256:" and twelve digits
