"""The observe worker: `python -m portwright.codegen.observe job.json` (torch only)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from portwright.codegen.observe import cached
from portwright.codegen.observe.captured import Capture, Captures, Passed
from portwright.codegen.observe.export import make_trace
from portwright.codegen.observe.layouts import TagLayouts
from portwright.codegen.observe.recorder import Recorder, SourceIndex
from portwright.codegen.observe.resolve import python_function
from portwright.codegen.observe.samples import Sampler
from portwright.codegen.observe.seeing import CACHE_FIELDS
from portwright.codegen.trace import Trace, write_trace
from portwright.errors import ExitCode, PortError, Problem
from portwright.reference.build import build, load_class, saved_config
from portwright.reference.probes import MORE, PLANS, Plans, Probe, make_probes, read_probe, with_padding
from portwright.reference.redraw import redraw
from portwright.workers import Emit, worker_main

ROUNDS = 8  # of layout promotion; what still changes after them is reported as mixed layout by the generator


def observe(
    reference: str,
    configs: Sequence[dict[str, Any]],
    seed: int,
    given: Sequence[Probe] | None,
    overrides: Mapping[str, Any],
    runtime: str = "standalone",
    plans: Plans = PLANS,
) -> tuple[Trace, Sampler]:
    """Run the reference on every config and observed probe, until the set of channels-last values is stable.

    With the runtime "mlx-lm" it is run with and without a key-value cache instead.
    """
    cls = load_class(reference)
    cache = cached.cache_argument(cls, reference) if runtime == "mlx-lm" else ""
    probes: list[list[Probe]] = []
    for config in configs if not cache else ():
        model = build(reference, config, seed)
        redraw(model, seed)
        every = list(given) if given else make_probes(model, config, overrides, plans)
        if given and plans is not PLANS:
            every += [padded for p in given for padded in with_padding(model, p)]
        probes.append([p for p in every if p.observed])
    promoted: frozenset[tuple[str, int]] = frozenset()
    sources = SourceIndex()
    captured: dict[str, Capture | Passed | None] = {}
    for _ in range(ROUNDS):
        wanted: set[tuple[str, int]] = set()
        recorder = Recorder(promoted, Sampler(), sources, Captures(captured))
        try:
            models, saved = run_all(cls, reference, configs, seed, probes, recorder, wanted, cache)
        finally:
            recorder.restore()
        wanted |= recorder.undecided()
        if new := recorder.captures.found.keys() - captured.keys():
            captured = recorder.captures.found
            promoted = frozenset(key for key in promoted | wanted if key[0] not in new)  # their text has changed
            continue
        if wanted <= promoted:
            break
        promoted |= wanted
    names = list(dict.fromkeys(p.name for group in probes for p in group))
    given_names = frozenset(k.partition(".")[0] for group in probes for p in group for k in (*p.tensors, *p.kwargs))
    if cache:
        names, given_names = ["cached"], frozenset({*cached.GIVEN, cache})
    return make_trace(reference, cls, models, saved, recorder, names, given_names), recorder.sampler


def run_all(
    cls: type[torch.nn.Module],
    reference: str,
    configs: Sequence[dict[str, Any]],
    seed: int,
    probes: Sequence[Sequence[Probe]],
    recorder: Recorder,
    wanted: set[tuple[str, int]],
    cache: str,
) -> tuple[list[torch.nn.Module], list[dict[str, Any]]]:
    """Build and run every model under the recorder; `cache` names the argument of a run with a key-value cache.

    Gives the models, and their configs as they were before the first run, which may assign fields.
    """
    for function in (python_function(cls.__init__), python_function(cls.forward)):
        if function is not None:
            reached = recorder.reach(function)
            if reached is not None and function is python_function(cls.forward):
                recorder.entry = reached.fid
    models, saved = [], []
    for index, config in enumerate(configs):
        model = build(reference, config, seed)
        redraw(model, seed + index)
        models.append(model)
        saved.append(saved_config(model, config))
        if cache:
            cached.check_layers(reference, model.config)
        recorder.roots.add(id(model))
        calls = [(p.name, p.arguments()) for p in probes[index]] if not cache else []
        for n, group in enumerate(cached.runs(model, cache, seed + index) if cache else ()):
            calls += [(f"cached {n}", arguments) for arguments in group]
        for name, arguments in calls:
            with torch.no_grad(), TagLayouts(wanted):
                try:
                    result = model(**arguments)
                except Exception as error:
                    problem = Problem(
                        f"{reference}, probe {name}", f"the reference failed: {type(error).__name__}: {error}"
                    )
                    raise PortError(problem, ExitCode.NOT_BUILT) from error
            recorder.outputs |= output_names(result)
            if cache:
                cached.check_result(reference, result, arguments.get(cache))
    return models, saved


def output_names(result: Any) -> set[str]:
    """The named parts of a result; none where it has no names, or is a plain dict."""
    named = hasattr(result, "to_tuple") and isinstance(result, Mapping)
    return {k for k, v in result.items() if v is not None and k not in CACHE_FIELDS} if named else set()


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Observe, and publish trace.json and samples.safetensors under `out`."""
    if job.get("path"):  # a reference of the model repo's own
        sys.path.insert(0, job["path"])
    given = [read_probe(Path(p)) for p in job["probes"]] if job.get("probes") else None
    trace, sampler = observe(
        job["reference"],
        job["configs"],
        int(job.get("seed", 0)),
        given,
        job.get("overrides") or {},
        job.get("runtime", "standalone"),
        (*PLANS, *MORE) if job.get("more") else PLANS,
    )
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    save_file(sampler.tensors, str(out / "samples.safetensors.tmp"), {"format": "pt"})
    (out / "samples.safetensors.tmp").replace(out / "samples.safetensors")
    write_trace(out / "trace.json.tmp", trace)
    (out / "trace.json.tmp").replace(out / "trace.json")
    entered = sum(1 for f in trace.functions.values() if f.entered)
    return {"functions": entered, "probes": list(trace.probes), "configs": len(job["configs"])}


if __name__ == "__main__":
    worker_main(run)
