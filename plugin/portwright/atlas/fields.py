"""Make the fields of a config small, consistently: what a field becomes is looked up by its name in fields.toml."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from portwright.reference.build import BOOKKEEPING

HERE = Path(__file__).parent
LAYERS = 4  # at most, where a model's layers are of several types
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


@functools.cache
def rules() -> tuple[Rule, ...]:
    table = tomli.loads((HERE / "fields.toml").read_text(encoding="utf-8"))["field"]
    return tuple(Rule(r["group"], re.compile(r["pattern"]), tuple(r["sizes"]), r["lists"]) for r in table)


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
