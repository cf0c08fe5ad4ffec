"""remap: stream the checkpoint's tensors through the moves into the port's weight files, and write config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..publish import publish_text
from ..receipts import read as read_receipt
from ..records import ComponentSpec
from ..remote import consent
from ..weightfile import SUFFIXES
from ..workers import run_worker
from .bind import MOVES
from .context import INDEX, Port, digest, read_json
from .stage import Done, OnEvent, Stage


def remap_stage(port: Port, component: ComponentSpec) -> Stage:
    name = port.task("remap", component)
    out, build = port.paths.component(component.name), port.paths.build(component.name)
    receipt_file = port.paths.receipt(name)
    quantize = port.spec.quantize

    def wanted() -> dict[str, Any] | None:
        if quantize is None:
            return None
        if quantize.source:
            return {"source": True, "keep": list(quantize.keep)}
        return {
            "bits": quantize.bits,
            "group_size": quantize.group_size,
            "mode": quantize.mode,
            "keep": list(quantize.keep),
        }

    def inputs() -> dict[str, str]:
        weights = [[f["path"], f["sha256"]] for f in port.weight_files(component)]
        return {
            "the moves": str(port.result("bind", component)["moves"]),
            "the weights": digest(weights),
            "the dtype": port.spec.dtype,
            "the size of a shard": str(port.spec.max_shard_bytes),
            "the quantization": digest(wanted()),
            "the config": port.config_digest(component),
            "the files carried along": digest([[Path(path).name, sha] for path, sha in _carried(port, component)]),
        }

    def run(on_event: OnEvent) -> Done:
        before = read_receipt(receipt_file)
        out.mkdir(parents=True, exist_ok=True)
        keep = dict(before.result.get("keep", {})) if before else {}
        job = {**remap_job(port, component, out), "quantize": wanted(), "keep": keep}
        rounds = quantize is not None and not quantize.source
        result = run_worker("portwright.remap", job, on_event=on_event, mlx=rounds)
        config = read_json(build / "codegen" / "config.json")
        config = {**config, **_config_keys(port, result)}
        publish_text(out / "config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        files = [out / str(file) for file in result["files"]]
        files += [path for path in [out / ("model" + INDEX)] if path.is_file()]
        carried = _carry(port, component, out)
        kept = {
            "weights": {
                file: entry["sha256"] for file, entry in result["files"].items() if file.endswith(".safetensors")
            },
            "keep": result.get("keep", {}),
            "parameters": result["parameters"],
            "bytes": result["bytes"],
        }
        hashes = {out / str(file): str(entry["blake3"]) for file, entry in result["files"].items()}
        return Done((*files, out / "config.json", *carried), kept, hashes)

    needs = (port.task("bind", component),)
    return Stage(name, needs, port.spec.directory, receipt_file, inputs, run, "write the MLX weights")


def remap_job(port: Port, component: ComponentSpec, out: Path) -> dict[str, Any]:
    """Return the job that writes the component's weights, unquantized, into the folder `out`."""
    return {
        "moves": str((port.paths.build(component.name) / MOVES).resolve()),
        "snapshot": str(port.snapshot_root(component)),
        "weights": {f["path"]: f["sha256"] for f in port.weight_files(component)},
        "out": str(out.resolve()),
        "dtype": port.spec.dtype,
        "quantize": None,
        "shard_bytes": port.spec.max_shard_bytes,
        "keep": {},
    }


def _config_keys(port: Port, result: dict[str, Any]) -> dict[str, Any]:
    """Return what the port adds to the reference's config: quantization as mlx-lm writes it, and who made it."""
    made: dict[str, Any] = {}
    if result.get("quantization"):
        made["quantization"] = result["quantization"]
        made["quantization_config"] = result["quantization"]
    return made


def _carried(port: Port, component: ComponentSpec) -> list[list[str]]:
    """Return path and sha256 of the files that belong beside the port, neither weights nor config: those that were
    fetched, and those that were made of a GGUF file's metadata where the source has none of that name."""
    weights = set(port.result("fetch", component)["weight_names"])
    files = port.result("fetch", component)["files"]
    skipped = ("config.json",)
    root = port.snapshot_root(component)
    fetched = [
        [str(root / f["path"]), str(f["sha256"])]
        for f in files
        if f["path"] not in weights
        and not f["path"].endswith((*SUFFIXES, INDEX, consent.SUFFIX))
        and f["path"].rpartition("/")[2] not in skipped
    ]
    made = port.result("fetch", component).get("made", {})
    names = {path.rpartition("/")[2] for path, _ in fetched}
    return fetched + [
        [str(port.made(component) / name), digest]
        for name, digest in sorted(made.items())
        if name not in (*skipped, *names)
    ]


def _carry(port: Port, component: ComponentSpec, out: Path) -> list[Path]:
    copies = []
    for path, _ in _carried(port, component):
        target = out / Path(path).name
        fresh = target.with_name(f".{target.name}.tmp")
        fresh.write_bytes(consent.without_key(Path(path)))
        fresh.replace(target)
        copies.append(target)
    return copies
