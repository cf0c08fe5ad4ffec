"""Probes: the inputs that a reference is observed and compared on, made from its signature and config."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from portwright.nesting import nested
from portwright.reference.build import not_built
from portwright.reference.guided import Choice, guided, made
from portwright.reference.named_inputs import Sizes, make_input, optional_inputs, sizes_of
from portwright.reference.overrides import drawn, flattened, holders, sized, taken
from portwright.reference.pictures import reads_pictures, with_pictures
from portwright.reference.search import search_inputs


@dataclass(frozen=True)
class Probe:
    """One call of the model: tensors by argument name (dotted inside dicts and lists), the rest as JSON values."""

    name: str
    tensors: Mapping[str, torch.Tensor]
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = 0
    observed: bool = True  # False: codegen never sees it, so it can only be passed by being right
    tags: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """Fresh keyword arguments, cloned, so that no run can change another's inputs."""
        return nested({**{k: v.clone() for k, v in self.tensors.items()}, **self.kwargs})


# name, sequence length, batch, observed, which optional inputs
PLANS = (
    ("all", 13, 2, True, "all"),
    ("bare", 9, 2, True, "none"),
    ("unseen-all", 17, 3, False, "all"),
    ("unseen-bare", 6, 1, False, "none"),
)

# Further ones, observed where a port has met a length or a lack that it had not seen: shorter and longer than the
# usual small windows and chunks, and a multiple of them.
MORE = (
    ("brief", 5, 1, True, "none"),
    ("brief-all", 3, 3, True, "all"),
    ("wide", 24, 2, True, "none"),
)
Plans = tuple[tuple[str, int, int, bool, str], ...]


def make_probes(
    model: torch.nn.Module,
    config: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    plans: Plans = PLANS,
) -> list[Probe]:
    """Probes of odd lengths, non-square pictures, batches of 1 to 3, padded masks; some with `observed=False`.

    `overrides` maps an argument's name to its value (number, string, list), to `{"shape": [...], "dtype": "..."}`
    or `{"values": [...]}` for a tensor that cannot be inferred (in lists and dicts too), or to null to leave an
    optional argument out.
    Raises PortError (NOT_BUILT) when no inputs are found that the model runs on.
    """
    given = flattened(overrides or {})
    names = forward_arguments(model)
    found, choice = named_probes(model, names, given, plans=plans)
    reason = choice.reason if choice is not None else ""
    found = found or search_probes(model, config, names, given)
    if found and not given and reads_pictures(model, names) and "pixel_values" not in found[0].tensors:
        found += [Probe(title, tensors, {}, seed, seen) for title, tensors, seed, seen in with_pictures(model, names)]
    if not found:
        raise not_built(
            type(model).__name__,
            "found no inputs that its forward accepts" + (f"; the best failed with {reason}" if reason else ""),
            "give them: --inputs inputs.safetensors, or their shapes",
        )
    return found


def named_probes(
    model: torch.nn.Module,
    names: Mapping[str, inspect.Parameter],
    given: Mapping[str, Any],
    hint: Choice | None = None,
    plans: Plans = PLANS,
) -> tuple[list[Probe], Choice | None]:
    """Probes by the field's argument names that the model runs on, and what was chosen by trial or failed last."""
    given = flattened(given)
    found = from_names(model, names, given, plans)
    if found and runs(model, found[0]):
        return [p for p in found if runs(model, p)], None
    if getattr(model, "config", None) is None:
        return [], None
    return guided_probes(model, names, given, hint, plans)


def forward_arguments(model: torch.nn.Module) -> dict[str, inspect.Parameter]:
    """The named parameters of `forward`, decorators looked through."""
    parameters = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    return {k: p for k, p in list(parameters.items())[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def from_names(
    model: torch.nn.Module, names: Mapping[str, inspect.Parameter], given: Mapping[str, Any], plans: Plans = PLANS
) -> list[Probe]:
    """Probes by the field's argument names (`input_ids`, `pixel_values`, `timestep`, ...); [] if one is unknown."""
    required, optional = optional_inputs(model, {k: p for k, p in names.items() if k not in holders(given)})
    if required is None:
        return []
    plans = (*plans, *[(f"only-{one}", 8, 2, True, one) for one in optional if len(optional) > 1])
    probes = []
    for index, (title, length, batch, observed, which) in enumerate(plans):
        sizes = sizes_of(model, length, batch, variant=index)
        wanted = required + [o for o in optional if which in ("all", o)]
        probe = probe_of(model, title, wanted, sizes, given, seed=100 + index, observed=observed)
        if probe is None:
            return []
        probes.append(probe)
    limit = sizes_of(model, 1, 1, variant=0).positions
    if limit and "input_ids" in required and limit > 17:
        sizes = sizes_of(model, min(limit, 512), 1, variant=1)
        long = probe_of(model, "unseen-long", required, sizes, given, seed=199, observed=False, tags=("long",))
        probes += [long] if long is not None else []
    return probes


def guided_probes(
    model: torch.nn.Module,
    names: Mapping[str, inspect.Parameter],
    given: Mapping[str, Any],
    hint: Choice | None = None,
    plans: Plans = PLANS,
) -> tuple[list[Probe], Choice]:
    """Probes whose arguments and their forms were found by trial."""
    main = getattr(model, "main_input_name", None)
    names = {k: p for k, p in names.items() if given.get(k, 0) is not None}
    required = [k for k, p in names.items() if p.default is p.empty]
    mains = [n for n in (main if isinstance(main, list) else [main]) if isinstance(n, str)]
    required = [n for n in mains if n in names and n not in required] + required
    first = sizes_of(model, 13, 2, variant=0)
    shaped, fixed = taken(given, model, first, torch.Generator().manual_seed(100))
    arguments = nested({**fixed, **shaped})
    choice = guided(model, names, required, first, arguments, hint)
    if not choice.ran:
        return [], choice
    probes = []
    for index, (title, length, batch, observed, which) in enumerate(plans):
        if which == "none" and observed and len(plans) == len(PLANS):
            continue
        g = torch.Generator().manual_seed(100 + index)
        sizes = sizes_of(model, length, batch, variant=index)
        tensors = made(model, choice, sizes, g)
        if tensors is not None:
            shaped, fixed = taken(given, model, sizes, g)
            tensors |= shaped
            probes.append(Probe(title, tensors, fixed, 100 + index, observed))
    values = made(model, choice, sizes_of(model, 13, 2, variant=0), torch.Generator().manual_seed(150))
    if values is not None:  # the observed shapes with other values: it runs even where no other size does
        shaped, fixed = taken(given, model, first, torch.Generator().manual_seed(150))
        values |= shaped
        probes.append(Probe("unseen-values", values, fixed, 150, observed=False))
    return [p for p in probes if runs(model, p)], choice


def probe_of(
    model: torch.nn.Module,
    title: str,
    wanted: list[str],
    sizes: Sizes,
    given: Mapping[str, Any],
    seed: int,
    observed: bool,
    tags: tuple[str, ...] = (),
) -> Probe | None:
    """One probe of the named inputs; None when a name is not known and not given."""
    g = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name in wanted:
        if name in holders(given):
            continue
        value = make_input(model, name, sizes, g)
        if value is None:
            return None
        tensors[name] = value
    shaped, kwargs = taken(given, model, sizes, g)
    return Probe(title, tensors | shaped, kwargs, seed, observed, tags)


def search_probes(
    model: torch.nn.Module,
    config: Mapping[str, Any],
    names: Mapping[str, inspect.Parameter],
    given: Mapping[str, Any],
) -> list[Probe]:
    """Probes of a plain module: shapes tried from the layers that could consume each argument."""
    fixed = {k: v for k, v in given.items() if v is not None and not isinstance(v, Mapping)}
    first = sizes_of(model, 7, 2, variant=0)
    drawn_shapes = {k: sized(v, model, first) for k, v in given.items() if isinstance(v, Mapping)}
    left = {k: p for k, p in names.items() if k not in holders(given) or k in drawn_shapes}
    arguments = config.get("kwargs", config)
    return [
        Probe(title, tensors, fixed, seed, observed)
        for title, tensors, seed, observed in search_inputs(model, arguments, left, drawn_shapes, fixed, drawn)
    ]


def runs(model: torch.nn.Module, probe: Probe) -> bool:
    """Whether the model accepts the probe."""
    try:
        with torch.no_grad():
            model(**probe.arguments())
    except Exception:
        return False
    return True


def with_padding(model: torch.nn.Module, probe: Probe) -> list[Probe]:
    """A given probe with padding where its mask has none; nothing where it has no mask of (batch, length)."""
    mask = probe.tensors.get("attention_mask")
    if mask is None or mask.ndim != 2 or mask.shape[1] < 3 or not bool((mask == 1).all()):
        return []
    padded = mask.clone()
    padded[0, -(mask.shape[1] // 3) :] = 0
    tensors = {**probe.tensors, "attention_mask": padded}
    made = dataclasses.replace(probe, name=f"{probe.name}-padded", tensors=tensors)
    return [made] if runs(model, made) else []


def write_probe(path: Path, probe: Probe) -> None:
    """Write the inputs.safetensors form: tensors by argument name, the rest as metadata."""
    metadata = {
        "kwargs": json.dumps(dict(probe.kwargs), sort_keys=True),
        "name": probe.name,
        "seed": str(probe.seed),
        "observed": json.dumps(probe.observed),
        "tags": json.dumps(list(probe.tags)),
    }
    content = save({k: v.contiguous() for k, v in probe.tensors.items()}, metadata)
    Path(path).write_bytes(_with_sorted_header(content))


def _with_sorted_header(content: bytes) -> bytes:
    """Sort the header's keys: the library writes metadata in a random order, and golden digests cover these bytes."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def read_probe(path: Path) -> Probe:
    """Read an inputs.safetensors file; only the tensors are required, the metadata is optional."""
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (safe_open is no mapping)
    return Probe(
        name=metadata.get("name", Path(path).stem),
        tensors=tensors,
        kwargs=json.loads(metadata.get("kwargs", "{}")),
        seed=int(metadata.get("seed", "0")),
        observed=bool(json.loads(metadata.get("observed", "true"))),
        tags=tuple(json.loads(metadata.get("tags", "[]"))),
    )
