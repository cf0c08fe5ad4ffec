"""fetch: bring the files that a component needs to this machine, pinned by port.lock and verified."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..records import ComponentSpec, SourceRef
from ..remote import consent
from ..weightfile import GGUF
from ..workers import run_worker
from .context import INDEX, Port, digest, fold_root
from .stage import Done, OnEvent, Stage

_SHARD = r"(-\d{5}-of-\d{5})?"
# What a component's folder may hold that a port needs; never pickles.
_PATTERNS = ("config.json", "*.safetensors", "*" + INDEX, "generation_config.json")
_CONFIGS = ("config.json", "generation_config.json")


def fetch_stage(port: Port, component: ComponentSpec) -> Stage:
    carry = port.skill.components.get(component.name, {}).get("carry", ())
    packed = ("*" + GGUF,) if port.skill.gguf else ()
    patterns = (*_CONFIGS, component.file, *carry) if component.file else (*_PATTERNS, *packed, *carry)
    if component.remote_code:
        patterns = (*patterns, "*" + consent.SUFFIX)
    return _stage(port, component, "fetch", port.spec.source, component.path, patterns, (), pin=True)


def golden_stage(port: Port, component: ComponentSpec) -> Stage:
    """Fetch the oracle's checkpoint: a second source of the same weights, in the library's own layout."""
    assert component.golden is not None
    source, path = component.golden.source, component.golden.path
    return _stage(port, component, "fetch-golden", source, path, _PATTERNS, (), pin=False)


def _stage(
    port: Port,
    component: ComponentSpec,
    stage: str,
    source: SourceRef,
    path: str,
    patterns: tuple[str, ...],
    needs: tuple[str, ...],
    *,
    pin: bool,
) -> Stage:
    folder = f"{path}/" if path else ""
    wanted = [folder + pattern for pattern in patterns]
    name = port.task(stage, component)
    receipt_file = port.paths.receipt(name)
    base = port.spec.directory

    def pinned() -> dict[str, Any] | None:
        lock = port.lock() if pin else None
        if lock is None or lock.source != source.text:
            return None
        return dict(lock.files)  # all of them: a branch is resolved once for every component

    def inputs() -> dict[str, str]:
        found = {"the source": digest([source.text, path]), "the list of files": digest(wanted)}
        if pin and port.skill.gguf:
            found["the Skill's reading of GGUF"] = digest(port.skill.gguf)
        if pin and component.remote_code is not None:
            found["remote_code of port.toml"] = str(component.remote_code)
        from .. import receipts

        before = receipts.read(receipt_file)
        pins = pinned()
        if pins and before is not None:  # a lock that pins other bytes than these were fetched under
            have = {file["path"]: file["sha256"] for file in before.result.get("files", [])}
            differ = [p for p, file in pins.items() if have.get(p) not in (None, file.sha256)]
            found["port.lock"] = digest(sorted(differ))
        else:
            found["port.lock"] = digest([])
        return found

    def run(on_event: OnEvent) -> Done:
        from ..paths import cache_root

        pins = pinned()
        job: dict[str, Any] = {
            "source": source.text,
            "base": str(port.origin.resolve()),
            "wanted": wanted,
            "cache": str(cache_root()),
            "pinned": None if pins is None else {p: _record(file) for p, file in pins.items()},
        }
        if pin and component.remote_code is None:  # what may not be run is not worth gigabytes
            job["unasked"] = {"component": component.name, "path": component.path}
        result = run_worker("portwright.sources.worker", job, on_event=on_event)
        root = Path(result["root"])
        paths = [file["path"] for file in result["files"]]
        names = _weights(root, paths, folder)
        made: dict[str, str] = {}
        if names[0].endswith(GGUF) and pin and f"{folder}config.json" not in paths:
            out = port.made(component)
            reading: dict[str, Any] = {
                "file": str(root / names[0]),
                "shown": names[0],
                "table": port.skill.gguf,
                "out": str(out.resolve()),
            }
            made = run_worker("portwright.gguf", reading, on_event=on_event)["files"]
            config = _config(out / "config.json", component, source)
        else:
            config = _config(root / folder / "config.json", component, source)
        if pin and component.remote_code:
            code = consent.check_reference(component, config, paths, source.text)
            consent.check_pinned(code, pins, source.text)
        kept = {
            "root": fold_root(result["root"], base.resolve()),
            "revision": result["revision"],
            "files": result["files"],
            "weight_names": names,
            "config_digest": digest(config),
            **({"made": made} if made else {}),
        }
        files = [*(root / path for path in paths), *(port.made(component) / name for name in made)]
        return Done(tuple(files), kept)

    return Stage(name, needs, base, receipt_file, inputs, run, "fetch the pinned files of the source")


def _record(file: Any) -> dict[str, Any]:
    return {
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
        "header_sha256": file.header_sha256,
        "revision": file.revision,
    }


def _config(path: Path, component: ComponentSpec, source: SourceRef) -> Any:
    where = f"{source.text}: {component.path + '/' if component.path else ''}config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = f"set components.{component.name}.path to the folder that holds config.json"
        raise PortError(Problem(where, "the component has no config.json there", hint), ExitCode.USAGE) from None
    except ValueError as error:
        raise PortError(Problem(where, f"not valid JSON: {error}"), ExitCode.SOURCE) from None
    if not isinstance(config, dict):
        raise PortError(Problem(where, "not a JSON object"), ExitCode.SOURCE)
    return config


def _plain(files: list[str], end: str) -> list[str]:
    """Leave out variants of the same weights: `model.fp16.safetensors` beside `model.safetensors`."""
    stems = {file: re.sub(end + "$", "", file.rpartition("/")[2]) for file in files}
    plain = {stem for stem in stems.values() if "." not in stem}
    return [file for file in files if "." not in stems[file] or stems[file].partition(".")[0] not in plain]


def _weights(root: Path, files: list[str], folder: str) -> list[str]:
    """Choose the weight files: those of the index where there is one, else all; of variants the plain ones."""
    tensors = _plain(sorted(f for f in files if f.endswith(".safetensors")), _SHARD + r"\.safetensors")
    indexes = _plain([f for f in files if f.endswith(INDEX)], re.escape(INDEX))
    if len(indexes) == 1:
        try:
            weight_map = json.loads((root / indexes[0]).read_text(encoding="utf-8"))["weight_map"]
            listed = sorted({folder + str(name) for name in weight_map.values()})
        except (ValueError, KeyError, AttributeError, TypeError):
            raise PortError(
                Problem(indexes[0], "not a safetensors index: it has no weight_map"), ExitCode.SOURCE
            ) from None
        missing = sorted(set(listed) - set(tensors))
        if missing:
            problem = f"names shards that are not there: {', '.join(missing)}"
            raise PortError(Problem(indexes[0], problem, "the source is incomplete"), ExitCode.SOURCE)
        return listed
    packed = sorted(f for f in files if f.endswith(GGUF))
    if not tensors and len(packed) > 1:
        hint = 'name one of them: file = "…" in the component\'s table of port.toml'
        found = ", ".join(f.removeprefix(folder) for f in packed)
        raise PortError(Problem(folder or "the source", f"holds several GGUF files: {found}", hint), ExitCode.USAGE)
    if not tensors and not packed:
        hint = "only safetensors and GGUF are read: convert a pickled checkpoint with the library that made it"
        raise PortError(Problem(folder or "the source", "holds no weight file", hint), ExitCode.SOURCE)
    return tensors or packed
