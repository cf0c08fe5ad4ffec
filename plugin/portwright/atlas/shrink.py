"""Make the smallest config of a class that builds and runs, from the defaults of its library.

The worker's job: {"reference", "seed", "path"?, "out": where config.json goes}. What a field becomes is looked up by
its name in fields.toml; what a class needs beyond that is in exceptions.toml. The rest is search: where the class
refuses the config, one group of fields after the other is made larger, and the change that brings it furthest is kept.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli
import torch

from portwright.errors import PortError
from portwright.reference.build import BOOKKEEPING, build, load_class, not_built
from portwright.reference.guided import Choice
from portwright.reference.probes import forward_arguments, make_probes, named_probes
from portwright.workers import Emit, worker_main

HERE = Path(__file__).parent
TRIES = 60
SECONDS = 15.0  # of processor time, for the whole search
LAYERS = 4  # at most, where a model's layers are of several types
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
TOKEN = re.compile(
    r".*(_token|_token_id|_token_index|_token_ids|tokens|_start_id|_end_id|_pad_id|_bos_id|_eos_id|^unk_index|_patch_id)$"
)
INDICES = re.compile(r".*(index|indices|indexes|idxs|layers|_ids|_blocks)$")
STAGES = ("depths", "hidden_sizes", "num_block_repeats")
AXES = re.compile(
    r"(axes_dims?(_rope)?|axes_dim_rope|rope_axes_dim|rope_dim_list|rope_dim|axes_dims_a|mrope_section|xdrope_section)$"
)


@dataclass(frozen=True)
class Rule:
    """What fields whose names match become: see fields.toml."""

    group: str
    pattern: re.Pattern[str]
    sizes: tuple[int, ...]
    lists: str


@dataclass(frozen=True)
class Shrunk:
    """A config that builds and runs, and what was done to find it."""

    config: dict[str, Any]
    parameters: int
    tries: int
    note: str
    inputs: dict[str, Any] = field(default_factory=dict)  # overrides of the probes that it runs on


@functools.cache
def rules() -> tuple[Rule, ...]:
    table = tomli.loads((HERE / "fields.toml").read_text(encoding="utf-8"))["field"]
    return tuple(Rule(r["group"], re.compile(r["pattern"]), tuple(r["sizes"]), r["lists"]) for r in table)


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


def merge(config: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Set fields, in sub-configs too; the text "drop" takes a field away."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            merge(config[key], value)
        elif value == "drop":
            config.pop(key, None)
        else:
            config[key] = copy.deepcopy(value)


def tiny(full: Mapping[str, Any], levels: Mapping[str, int]) -> dict[str, Any]:
    """The config with every field that fields.toml knows made small, consistently within each sub-config."""
    config = copy.deepcopy(dict(full))
    for key in ("id2label", "label2id", *BOOKKEEPING):
        config.pop(key, None)
    shrink_section(config, levels)
    vocabulary = min((v for k, v in walk(config) if k == "vocab_size" and isinstance(v, int) and v > 0), default=0)
    if vocabulary:
        renumber_tokens(config, vocabulary, {})
    return config


def shrink_section(section: dict[str, Any], levels: Mapping[str, int]) -> None:
    """Shrink the fields of one config, then those of the configs in it."""
    before = dict(section)
    for name, value in before.items():
        if isinstance(value, dict):
            if name not in ("rope_parameters", "rope_scaling") and all(isinstance(k, str) for k in value):
                shrink_section(value, levels)
        elif TOKEN.fullmatch(name) or isinstance(value, bool):
            continue
        elif isinstance(value, int) or (isinstance(value, list) and value and all(type(v) is int for v in value)):
            section[name] = smaller(name, value, levels)
    settle(before, section)


def smaller(name: str, value: Any, levels: Mapping[str, int]) -> Any:
    """One field's new value."""
    rule = next((r for r in rules() if r.pattern.fullmatch(name)), None)
    if rule is None or not rule.sizes:
        return value
    level = levels.get(rule.group, 0)
    if level >= len(rule.sizes):
        return value
    size = rule.sizes[level]
    if isinstance(value, int):
        return min(value, size) if value > 0 else value
    if rule.lists == "keep":
        return value
    if rule.lists == "each":
        return [min(v, size) if v > 0 else v for v in value]
    first = next((v for v in value if v > 0), 1)
    if rule.group in ("heads", "key-value heads"):  # powers of two divide the channels that they share
        ranks = sorted(set(value))
        return [min(min(first, 2) * 2 ** ranks.index(v), 8) for v in value]
    if max(value) <= size:
        return value
    return [min(max(8, round(v * size / 2 / first / 8) * 8), size) if v > 4 else v for v in value]


def settle(before: Mapping[str, Any], section: dict[str, Any]) -> None:
    """Make the fields that depend on each other agree: layers by type, head widths, rope sections."""
    counts = [
        k for k in before if re.fullmatch(r"num_hidden_layers|n_layers?|num_layers|layers|depth|encoder_layers", k)
    ]
    stages = {len(v) for k, v in before.items() if isinstance(v, list) and k in STAGES}
    counts = [k for k in counts if isinstance(before[k], int) and before[k] > 0]
    for count in [k for k in counts if before[k] in stages]:  # a count of stages, of which each list has one entry
        section[count] = before[count]
        counts.remove(count)
    for count in counts[:1]:
        settle_layers(before, section, count)
    width = next(
        (section[k] for k in ("hidden_size", "d_model", "n_embd", "dim") if isinstance(section.get(k), int)), 0
    )
    heads = next(
        (
            section[k]
            for k in ("num_attention_heads", "n_head", "num_heads", "n_heads")
            if isinstance(section.get(k), int)
        ),
        0,
    )
    for name, value in before.items():  # every head its own keys and values: so they stay
        if heads and isinstance(section.get(name), int) and name in ("num_key_value_heads", "num_kv_heads"):
            whole = next((before[k] for k in ("num_attention_heads", "n_head", "num_heads") if k in before), None)
            section[name] = heads if value == whole else section[name]
    head = section.get("head_dim") or section.get("attention_head_dim") or (width // heads if width and heads else 8)
    if isinstance(section.get("qk_nope_head_dim"), int) and isinstance(section.get("qk_rope_head_dim"), int):
        head = section["qk_rope_head_dim"]
        if isinstance(before.get("qk_head_dim"), int):
            section["qk_head_dim"] = section["qk_nope_head_dim"] + head
        if isinstance(before.get("head_dim"), int):
            section["head_dim"] = head
    if isinstance(head, int) and head > 1:
        for name, values in list(section.items()):
            if AXES.fullmatch(name) and isinstance(values, list) and values:
                section[name] = proportional(
                    values, head // (2 if "section" in name else 1), 1 if "section" in name else 2
                )
        for rope in ("rope_parameters", "rope_scaling"):
            found = section.get(rope)
            for part in (found, *found.values()) if isinstance(found, dict) else ():
                if isinstance(part, dict):
                    settle_rope(part, head)


def settle_layers(before: Mapping[str, Any], section: dict[str, Any], count: str) -> None:
    """Cut what has one entry a layer to the fewer layers, so that each kind of layer is still there."""
    total = before[count]
    per_layer = {
        k: v for k, v in before.items() if isinstance(v, list) and len(v) == total > 1 and not k.startswith("conv_")
    }
    kinds = max((len(set(map(repr, v))) for k, v in per_layer.items() if not indices(k, v)), default=1)
    if 1 < kinds < total:
        section[count] = min(max(section[count], min(kinds, LAYERS)), total)
    outs = before.get("out_indices") or before.get("out_features")
    if isinstance(outs, list) and len(outs) <= LAYERS:
        section[count] = min(max(section[count], len(outs)), total)
    typed = next((v for v in per_layer.values() if 1 < len(set(map(repr, v))) < total), None)
    picked = kinds_first(typed, section[count]) if typed else list(range(section[count]))
    for name in per_layer:
        section[name] = [section[name][i] for i in picked]
    if isinstance(outs, list) and outs and section[count] < total:
        section["out_features"] = None
        section["out_indices"] = spread(len(outs), section[count])
    for name, values in before.items():
        if name in ("out_indices", "out_features"):
            continue
        if isinstance(values, list) and values and name not in per_layer:
            if indices(name, values) and max(values) >= section[count]:
                section[name] = scaled_indices(values, total, section[count])
            elif all(isinstance(v, str) and re.fullmatch(r"stage\d+", v) for v in values):
                numbers = scaled_indices([int(v[5:]) for v in values], total + 1, section[count] + 1)
                section[name] = [f"stage{n}" for n in numbers]
        elif isinstance(values, dict) and values and all(str(k).isdigit() for k in values):
            numbered = {int(k): v for k, v in values.items()}
            section[name] = {n: numbered[o] for n, o in enumerate(picked) if o in numbered}


def spread(many: int, count: int) -> list[int]:
    """`many` stages of `count`, evenly; all of them where there are fewer."""
    return sorted({max(1, count * (n + 1) // many) for n in range(many)})


def indices(name: str, values: list[Any]) -> bool:
    """Whether a list names layers: rising numbers under a name that says so."""
    return bool(INDICES.fullmatch(name)) and all(type(v) is int for v in values) and values == sorted(set(values))


def kinds_first(values: list[Any], count: int) -> list[int]:
    """The places of `count` of the values, in order, with each kind there once before any is there twice."""
    first = list(dict.fromkeys(values.index(v) for v in values))[:count]
    first += [i for i in range(len(values)) if i not in first][: count - len(first)]
    return sorted(first)


def scaled_indices(values: list[int], before: int, after: int) -> list[int]:
    """Numbers of layers for fewer layers."""
    last = max(before, max(values) + 1)
    return sorted({min(v * after // last, after - 1) for v in values})


def proportional(values: list[int], total: int, least: int) -> list[int]:
    """Numbers in the proportions of `values`, multiples of `least`, that sum to `total`."""
    every = sum(values) or 1
    made = [max(least, v * total // every // least * least) for v in values]
    while sum(made) > total and max(made) > least:
        made[made.index(max(made))] -= least
    made[-1] += max(0, total - sum(made))
    return made


def settle_rope(part: dict[str, Any], head: int) -> None:
    """Rope sections and factors for a head of this width."""
    rotary = int(head * (part.get("partial_rotary_factor") or 1))
    for name, value in part.items():
        if name.endswith("section") and isinstance(value, list):
            part[name] = proportional(value, rotary // 2, 1)
        elif name in ("short_factor", "long_factor") and isinstance(value, list):
            part[name] = value[: rotary // 2]
        elif name == "original_max_position_embeddings" and isinstance(value, int):
            part[name] = min(value, 32)


def walk(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        yield key, value
        if isinstance(value, Mapping):
            yield from walk(value)


def renumber_tokens(section: dict[str, Any], vocabulary: int, numbers: dict[int, int]) -> None:
    """Give special tokens beyond the small vocabulary numbers from its end, the same for the same token."""

    def number(value: int) -> int:
        if value < vocabulary:
            return value
        return numbers.setdefault(value, max(vocabulary - 1 - len(numbers), 1))

    for name, value in section.items():
        if isinstance(value, dict):
            renumber_tokens(value, vocabulary, numbers)
        elif not isinstance(name, str):
            continue
        elif TOKEN.fullmatch(name) and type(value) is int:
            section[name] = number(value)
        elif TOKEN.fullmatch(name) and isinstance(value, list):
            section[name] = [number(v) if type(v) is int else v for v in value]


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
