"""Make the smallest config of a class that builds and runs, from the defaults of its library.

The worker's job: {"reference", "seed", "path"?, "out": where config.json goes}. What a field becomes is looked up by
its name in fields.toml; what a class needs beyond that is in exceptions.toml. The rest is search: where the class
refuses the config, one group of fields after the other is made larger, and the change that brings it furthest is kept.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli
import torch

from portwright.atlas.fields import merge, rules, tiny
from portwright.errors import PortError
from portwright.reference.build import build, load_class, not_built
from portwright.reference.guided import Choice
from portwright.reference.probes import forward_arguments, make_probes, named_probes
from portwright.workers import Emit, worker_main

HERE = Path(__file__).parent
TRIES = 60
SECONDS = 15.0  # of processor time, for the whole search
ORDER = (
    "image",
    "head dim",
    "key-value heads",
    "layers",
    "positions",
    "patch",
    "window of a picture",
    "heads",
    "groups",
)


@dataclass(frozen=True)
class Shrunk:
    """A config that builds and runs, and what was done to find it."""

    config: dict[str, Any]
    parameters: int
    tries: int
    note: str
    inputs: dict[str, Any] = field(default_factory=dict)  # overrides of the probes that it runs on


@functools.cache
def exceptions() -> dict[str, Any]:
    """What single families need: by `model_type`, or by the class's name where there is none."""
    return tomli.loads((HERE / "exceptions.toml").read_text(encoding="utf-8"))


def shrink(reference: str, seed: int = 0) -> Shrunk:
    """The smallest config found for a transformers or diffusers class; an empty one for any other class.

    Raises PortError (NOT_BUILT) with the last reason when none builds and runs.
    """
    cls = load_class(reference)
    full = library_defaults(cls)
    if full is None:
        return Shrunk({}, 0, 0, "config: the class's own default arguments")
    given = exception_of(full, cls)
    levels: dict[str, int] = dict(given.get("levels", {}))
    best = attempt(reference, full, levels, given, seed)
    tries, end, reasons = 1, time.process_time() + SECONDS, {best.reason}
    while not best.runs and tries < TRIES and time.process_time() < end:
        found: Attempt | None = None
        for group, level in changes(levels):
            trial = attempt(reference, full, {**levels, group: level}, given, seed, best)
            tries += 1
            if trial.better(found or best) or (found is None and trial.sideways(best, reasons)):
                found, kept = trial, {**levels, group: level}
            if trial.runs or tries >= TRIES or time.process_time() > end:
                break
        if found is None:
            break
        best, levels = found, kept
        reasons.add(best.reason)
    if not best.runs and best.parameters and time.process_time() < end:
        best = attempt(reference, full, levels, given, seed, best, search=True)
    if not best.runs:
        raise not_built(reference, f"no small config of it runs: {best.reason}", "give one: --config config.json")
    larger = ", ".join(
        f"{group} larger ({level})" for group, level in levels.items() if group not in given.get("levels", {})
    )
    note = f"tiny config made by portwright.atlas, {best.parameters} parameters" + (f"; {larger}" if larger else "")
    return Shrunk(best.config, best.parameters, tries, note, dict(given.get("inputs", {})))


@dataclass(frozen=True)
class Attempt:
    """How far one config came."""

    config: dict[str, Any]
    runs: bool
    progress: int  # 0: no config object; 1: no model; from 2: modules called before it failed
    reason: str
    parameters: int
    choice: Choice | None = None  # of inputs

    def better(self, other: Attempt) -> bool:
        return self.runs or self.progress > other.progress

    def sideways(self, other: Attempt, reasons: set[str]) -> bool:
        """Whether it came as far and failed for a reason that was not there before."""
        return self.progress == other.progress and self.reason not in reasons


def attempt(
    reference: str,
    full: dict[str, Any],
    levels: Mapping[str, int],
    given: Mapping[str, Any],
    seed: int,
    before: Attempt | None = None,
    search: bool = False,
) -> Attempt:
    """Shrink at these levels, build and look for inputs that run."""
    config = tiny(full, levels)
    merge_parts(config)
    merge(config, given.get("config", {}))
    choice: Choice | None = None
    parameters = 0
    try:
        with quiet():
            model = build(reference, config, seed)
            parameters = sum(p.numel() for p in model.parameters())
            if search:
                make_probes(model, config, given.get("inputs"))
            else:
                hint = before.choice if before is not None else None
                found, choice = named_probes(model, forward_arguments(model), given.get("inputs", {}), hint)
                if not found:
                    raise not_built(reference, f"no inputs: {choice.reason if choice is not None else ''}")
    except PortError as error:
        reason = error.problems[0].problem
        furthest = 2 + max(choice.calls, 0) if choice is not None else 2
        return Attempt(config, False, furthest if parameters else 1, reason, parameters, choice)
    return Attempt(config, True, 0, "", parameters)


def changes(levels: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """One group at a time, one size further, the cheapest first."""
    ordered = sorted((r for r in rules() if r.sizes), key=lambda r: ORDER.index(r.group) if r.group in ORDER else 99)
    for step in range(1, max(len(r.sizes) for r in ordered) + 1):
        for rule in ordered:
            level = levels.get(rule.group, 0) + step
            if level <= len(rule.sizes):
                yield rule.group, level


def library_defaults(cls: type[torch.nn.Module]) -> dict[str, Any] | None:
    """The config of a class at its library's defaults, as a plain dict; None for a class that has none."""
    config_class = getattr(cls, "config_class", None)
    if config_class is not None:
        with quiet():
            return dict(plain(config_class().to_dict()))
    if not hasattr(cls, "config_name"):
        return None
    parameters = list(inspect.signature(cls.__init__).parameters.items())[1:]
    named = [(k, p) for k, p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return {k: plain(p.default) for k, p in named if p.default is not p.empty}


def plain(value: Any) -> Any:
    """A copy with lists for tuples, as JSON would have it."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else value


def exception_of(full: Mapping[str, Any], cls: type[torch.nn.Module]) -> dict[str, Any]:
    table = exceptions()
    return dict(table.get(cls.__name__) or table.get(str(full.get("model_type", ""))) or {})


def merge_parts(config: dict[str, Any]) -> None:
    """Set what the model types of the configs within a config need."""
    for part in config.values():
        if isinstance(part, dict):
            merge_parts(part)
            merge(part, exceptions().get(str(part.get("model_type", "")), {}).get("config", {}))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' warnings about odd configs to themselves."""
    import logging
    import warnings

    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Shrink, and write the config."""
    if job.get("path"):
        sys.path.insert(0, job["path"])
    torch.set_num_threads(1)
    found = shrink(job["reference"], int(job.get("seed", 0)))
    Path(job["out"]).write_text(json.dumps(found.config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return {"parameters": found.parameters, "tries": found.tries, "note": found.note, "inputs": found.inputs}


if __name__ == "__main__":
    worker_main(run)
