"""The capture stage: load the reference, run the probes, write the golden directory.

Job: {"reference": "module:Class", "config": path of the library's config.json, "snapshot": folder,
"weights": [safetensors files in it], "golden_source": null | {"config", "files": [absolute paths]},
"prompts"?: [texts that the reference continues], "tokenizer"?: path of tokenizer.json,
"moves": null | path of a moves.json with source -> reference names, "mode": "snapshot" | "redraw", "seed": int,
"path"?: folder of the reference's own code, "probes": null | [paths of inputs.safetensors], "overrides": {},
"varied"?: whether to make unobserved probes from the given ones,
"dtypes"?: those that a port may be stored in (default: all), "keep_weights"?: bool, "out": folder}.
In mode "redraw" no weights are read: they are drawn from the seed and kept as reference.safetensors in the golden;
so are those that were read, with "keep_weights".
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from portwright import __version__, canonical
from portwright.errors import ExitCode, PortError, Problem
from portwright.reference.build import build
from portwright.reference.probes import Probe, make_probes, read_probe, write_probe
from portwright.reference.redraw import redraw
from portwright.verify import tree
from portwright.verify.capture import greedy, invariance, noise, sensitivity, weights
from portwright.verify.capture.extra import far_positions, varied
from portwright.verify.capture.inventory import held_exactly, inventory
from portwright.verify.capture.record import Call, holders, is_tensor, record, tables
from portwright.verify.capture.store import TensorStore, to_numpy, write_tensors
from portwright.verify.capture.tiny import tiny_calls
from portwright.verify.capture.wide import DTYPES, Shadow
from portwright.workers import Emit

SMALL = 4_000_000  # elements
MODULE_PROBES = 2  # module inputs and outputs are kept for one probe that codegen saw and one that it did not


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Capture one component; returns its digest, its facts for port.lock and what its noise is."""
    if job.get("path"):
        sys.path.insert(0, job["path"])
    config = canonical.parse_object(Path(job["config"]).read_bytes(), job["config"], finite=False)
    out = Path(job["out"])
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)

    emit.log(f"loading {job['reference']}")
    model, origin = load(job, config)
    if sum(p.numel() for p in model.parameters()) < SMALL:
        torch.set_num_threads(1)  # a tiny layer is done before a second thread has woken
    tied = weights.tied_names(model)
    probes = probes_of(job, model, config)
    golden = measure_reference(job, config, model, probes, partial, emit)
    golden |= {"weights": origin, "parameters": inventory(model, tied), "held_exactly": held_exactly(model)}
    if job.get("mode") == "redraw" or job.get("keep_weights"):
        state = {k: to_numpy(v) for k, v in model.state_dict().items()}
        write_tensors(partial / "reference.safetensors", state, {"format": "pt"})
    golden["files"] = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(partial.iterdir())}
    text = canonical.dumps(golden)
    (partial / "golden.json").write_text(text, encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)
    return {
        "digest": canonical.sha256_text(text),
        "facts": golden["facts"],
        "noise": golden["noise"],
        "modules": golden["facts"]["modules"],
        "weights": origin,
    }


def load(job: Mapping[str, Any], config: dict[str, Any]) -> tuple[torch.nn.Module, str]:
    """The reference with its weights, and where they came from."""
    reference = job["reference"]
    if job.get("mode") == "redraw":
        model = build(reference, config, job.get("seed", 0))
        redraw(model, job.get("seed", 0))
        return model, "redraw"
    source = job.get("golden_source")
    if source:
        files = [Path(f) for f in source["files"]]
        other = canonical.parse_object(Path(source["config"]).read_bytes(), source["config"])
        model_or_none = weights.from_library(reference, other, files)
        if model_or_none is None:
            raise PortError(
                Problem(str(source["files"]), f"{reference} does not load from the golden source"), ExitCode.NOT_BUILT
            )
        return model_or_none, "golden"
    files = [Path(job["snapshot"]) / name for name in job["weights"]]
    model_or_none = weights.from_library(reference, config, files)
    if model_or_none is not None:
        return model_or_none, "library"
    if job.get("moves"):
        return weights.from_moves(reference, config, files, Path(job["moves"])), "rules"
    hint = "give the component rules in its Skill, or a golden source in port.toml"
    raise PortError(
        Problem(", ".join(job["weights"]), f"{reference} does not load from these files by itself", hint),
        ExitCode.NOT_BUILT,
    )


def probes_of(job: Mapping[str, Any], model: torch.nn.Module, config: dict[str, Any]) -> list[Probe]:
    if job.get("probes"):
        probes = [read_probe(Path(path)) for path in job["probes"]]
        if job.get("varied"):
            probes += varied(model, probes)
    else:
        probes = make_probes(model, config, job.get("overrides") or None)
    return [*probes, *far_positions(probes, config)]


def measure_reference(
    job: Mapping[str, Any],
    config: dict[str, Any],
    model: torch.nn.Module,
    probes: Sequence[Probe],
    folder: Path,
    emit: Emit,
) -> dict[str, Any]:
    """Run all that is asked of the reference, write its tensors, give golden.json without the inventory."""
    paths, store, calls, entries = holders(model), TensorStore(), [], []
    followed = [*paths, *tables(model)]
    detailed, mixing = detailed_probes(probes), mixing_modules(model, followed)
    recorded: dict[int, list[Call]] = {}
    results: list[dict[str, Any]] = []
    for number, probe in enumerate(probes):
        emit.progress(number, len(probes), "probes", f"reference on {probe.name}")
        kept = followed if number in detailed else (mixing if "long" in probe.tags else [])
        found = record(model, number, probe.arguments(), kept, store)
        recorded[number] = found.calls
        calls += found.calls
        results.append(noise.result_arrays(found.result))
        entries.append(probe_entry(folder, number, probe, found.result))
    calls += tiny_calls(model, calls, store)
    pairs, batch = invariance.padding(model, probes), invariance.batch(model, probes)
    for name in job.get("dtypes") or DTYPES:
        emit.log(f"measuring the noise of {name}")
        shadow = Shadow(model, name, lambda: build(job["reference"], config, job.get("seed", 0)))
        try:
            for number, probe in enumerate(probes):
                if name == "float32" or "long" not in probe.tags:  # 16 bits are slow here, and say nothing of positions
                    entry = entries[number]["noise"]
                    entry[name] = noise.in_run(probe, recorded[number], shadow, store, results[number], name)
        except PortError as error:
            if name == "float32":
                raise
            emit.log(str(error))  # a port in this dtype will be told that it was not measured
            continue
        if name == "float32":
            for call in calls:
                noise.alone(call, shadow, store, name)
        else:
            invariance.add_noise(pairs, batch, probes, shadow, name)
        invariance.at_least(pairs, batch, entries, name)
        del shadow
    written = greedy.capture(
        model,
        lambda: build(job["reference"], config, job.get("seed", 0)),
        job.get("prompts") or (),
        Path(job.get("tokenizer") or "tokenizer.json"),
        folder,
        emit,
    )
    traits = {"padding": pad_entry(folder, pairs), "batch": batch, "greedy": written}
    emit.log("asking which parameters and inputs are observed")
    live = sensitivity.live_parameters(model, probes)
    store.write(folder / "modules.safetensors")
    called = {call.module for call in calls}
    facts = {
        "modules": [path for path in paths if path in called],
        "traits": sorted(
            [name for name, value in traits.items() if value] + ["long"] * any("long" in p.tags for p in probes)
        ),
    }
    return {
        "schema": 1,
        "reference": job["reference"],
        "config": canonical.sha256_json(config),
        "env": {
            "portwright": __version__,
            "torch": torch.__version__,
            "os": f"{platform.system()}-{platform.machine()}",
        },
        "facts": facts,
        "uncalled": uncalled(model, called),
        "order": list(dict.fromkeys(call.module for call in calls)),
        "calls": [call_entry(call) for call in calls],
        "probes": entries,
        "noise": {name: greatest(entries, name) for name in entries[0]["noise"]},
        "padding": traits["padding"],
        "batch": traits["batch"],
        **({"greedy": written} if written else {}),
        "sensitivity": {
            "unobserved": sorted(set(model.state_dict()) - live),
            "inputs": sensitivity.live_inputs(model, probes),
        },
    }


def detailed_probes(probes: Sequence[Probe]) -> list[int]:
    """The probes whose module calls are kept: the first that codegen saw and the first that it did not."""
    seen = next((i for i, p in enumerate(probes) if p.observed), None)
    unseen = next((i for i, p in enumerate(probes) if not p.observed), None)
    return [i for i in (seen, unseen) if i is not None][:MODULE_PROBES]


def mixing_modules(model: torch.nn.Module, paths: Sequence[str]) -> list[str]:
    """Modules that may look along a text: all but torch's own layers, which a long text asks nothing new of."""
    modules = dict(model.named_modules())
    return [path for path in paths if not type(modules[path]).__module__.startswith("torch.nn.")]


def probe_entry(folder: Path, number: int, probe: Probe, result: Any) -> dict[str, Any]:
    inputs, outputs = f"inputs.{number:03d}.safetensors", f"outputs.{number:03d}.safetensors"
    write_probe(folder / inputs, probe)
    tensors = {name: to_numpy(t) for name, t in tree.flatten(result, is_tensor).items()}
    write_tensors(folder / outputs, tensors)
    return {
        "name": probe.name,
        "seed": probe.seed,
        "observed": probe.observed,
        "tags": list(probe.tags),
        "inputs": inputs,
        "outputs": outputs,
        "kwargs": dict(probe.kwargs),
        "noise": {},
    }


def pad_entry(folder: Path, pairs: tuple[Probe, Probe, dict[str, Any]] | None) -> dict[str, Any] | None:
    if pairs is None:
        return None
    short, longer, entry = pairs
    write_probe(folder / "inputs.short.safetensors", short)
    write_probe(folder / "inputs.padded.safetensors", longer)
    return {**entry, "short": "inputs.short.safetensors", "padded": "inputs.padded.safetensors"}


def call_entry(call: Call) -> dict[str, Any]:
    return {
        "module": call.module,
        "probe": call.probe,
        "index": call.index,
        "args": [{"name": name, "value": node} for name, node in call.args.items()],
        "out": call.out,
        "dtypes": call.dtypes,
        "noise": call.noise,
        "flow": call.flow,
    }


def uncalled(model: torch.nn.Module, called: set[str]) -> list[str]:
    """Modules that own parameters directly and were never called: their parent reads the parameters itself."""
    return [
        path
        for path, module in model.named_modules()
        if path and path not in called and next(module.parameters(recurse=False), None) is not None
    ]


def greatest(entries: Sequence[Mapping[str, Any]], dtype: str) -> dict[str, float]:
    found = [noise for entry in entries for noise in entry["noise"].get(dtype, {}).values()]
    return {metric: max((n[metric] for n in found), default=0.0) for metric in ("rel_l2", "scaled_max")}
