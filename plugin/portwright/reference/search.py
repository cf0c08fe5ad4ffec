"""Find the inputs of a plain module by trying the shapes that its layers could consume."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from portwright.nesting import nested

TRIES = 400
SIZE = re.compile(r"(image|img|input|sample)_?(size|resolution)|^(size|resolution)$")
DEPTH = re.compile(r"^(in_|image_|img_|num_)?(channels|chans|dim)$")
Spec = dict[str, Any]
Drawer = Callable[[Mapping[str, Any], torch.Generator], torch.Tensor]
LENGTHS = {"all": (2, 7), "unseen": (3, 11)}  # batch, sequence length
PICTURES = {"all": (14, 10), "unseen": (18, 22)}


def pictures(model: nn.Module, config: Mapping[str, Any], plan: str) -> list[Spec]:
    """Pictures, videos and rows of the size that the model was built for, by the names that constructors give it."""
    batch = LENGTHS[plan][0]
    arguments = inspect.signature(inspect.unwrap(type(model).__init__)).parameters
    given = {**{k: p.default for k, p in arguments.items()}, **config}
    sizes = [
        v for k, v in given.items() if re.search(r"(image|img|input|sample)_?(size|resolution)|^(size|resolution)$", k)
    ]
    depths = [v for k, v in given.items() if re.search(r"^(in_|image_|img_|num_)?(channels|chans|dim)$", k)]
    depths += [m.in_channels for m in model.modules() if isinstance(m, _ConvNd)][:1]
    wanted = [int(d) for d in (*depths, 3, 1) if isinstance(d, int)]
    squares = [(s, s) if isinstance(s, int) else tuple(s) for s in sizes if isinstance(s, (int, tuple, list))]
    both = [s for s in squares if len(s) == 2 and all(isinstance(n, int) and 0 < n <= 4096 for n in s)]
    lengths = [v for k, v in given.items() if re.search(r"^(seq_len|seq_length|max_seq_len|length)$", k)]
    frames = [v for k, v in given.items() if re.search(r"^(num_)?frames$", k) and isinstance(v, int)]
    extents = [*both, *[(f, *s) for s in both for f in frames], *[(n,) for n in lengths if isinstance(n, int)]]
    return [{"shape": [batch, d, *extent]} for extent in extents for d in dict.fromkeys(wanted)]


def layer_specs(model: nn.Module, plan: str) -> list[Spec]:
    """Input specs that some layer of the model consumes, first layers first, without doubles."""
    batch, length = LENGTHS[plan]
    height, width = PICTURES[plan]
    specs: list[Spec] = []
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            specs += [{"shape": [batch, length], "dtype": "int64", "high": module.num_embeddings}]
        elif isinstance(module, _ConvNd):
            rank = len(module.kernel_size)
            spatial = {1: [4 * length + 3], 2: [height, width], 3: [3, height, width]}[rank]
            specs += [{"shape": [batch, module.in_channels, *spatial]}]
            even = [16 * (spatial[0] // 8 + 1)] if rank == 1 else [*spatial[:-2], height // 7 * 16, height // 7 * 32]
            specs += [{"shape": [batch, module.in_channels, *even]}]
        elif isinstance(module, nn.Linear):
            specs += [{"shape": [batch, length, module.in_features]}, {"shape": [batch, module.in_features]}]
        elif isinstance(module, nn.MultiheadAttention):
            specs += [{"shape": [batch, length, module.embed_dim]}]
        elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
            specs += [{"shape": [batch, length, *module.normalized_shape]}]
        elif isinstance(module, nn.GroupNorm):
            specs += [{"shape": [batch, module.num_channels, height, width]}]
        elif isinstance(module, (nn.RNN, nn.LSTM, nn.GRU)):
            specs += [{"shape": [batch, length, module.input_size]}]
    for parameter in model.parameters():
        if parameter.ndim:
            specs += [{"shape": [batch, length, n]} for n in (parameter.shape[-1], parameter.shape[0])]
    specs += [{"shape": [batch, length, 8]}, {"shape": [batch, length]}, {"shape": [batch, 3, height, width]}]
    specs += [{"shape": [batch, 3, side, side]} for side in (64, 128, 224)]  # what deep pyramids divide evenly
    return list({str(s): s for s in specs}.values())


def mask_specs(plan: str) -> list[Spec]:
    """Specs of boolean masks over a sequence."""
    batch, length = LENGTHS[plan]
    shapes = [[batch, length], [length, length], [batch, 1, length, length]]
    return [{"shape": s, "dtype": d} for s in shapes for d in ("bool", "float32")]


def candidates(
    model: nn.Module, config: Mapping[str, Any], name: str, parameter: inspect.Parameter, plan: str
) -> list[Spec]:
    """Specs to try for one argument, the likeliest first."""
    layers = [*layer_specs(model, plan), *pictures(model, config, plan)]
    if re.search(r"^(x|inputs?|sample)$|im(g|age)|picture|pixel", name):
        layers = [*pictures(model, config, plan), *layers]
    if "mask" in name:
        return mask_specs(plan) + layers
    wants_ints = any(word in name for word in ("ids", "token", "index", "indices", "labels"))
    if wants_ints or "Long" in str(parameter.annotation):
        layers = sorted(layers, key=lambda s: s.get("dtype") != "int64")
    if any(word in name for word in ("timestep", "sigma")) or name in ("t", "time"):
        layers = [{"shape": [LENGTHS[plan][0]]}, {"shape": [LENGTHS[plan][0]], "dtype": "int64", "high": 900}, *layers]
    return layers


def wanted_tensors(names: Mapping[str, inspect.Parameter]) -> tuple[list[str], list[str]]:
    """Which arguments are certainly tensors (no default), and which may be (default None)."""
    required = [k for k, p in names.items() if p.default is p.empty]
    optional = [k for k, p in names.items() if p.default is None]
    return required, optional


def attempt(model: nn.Module, tensors: Mapping[str, torch.Tensor], fixed: Mapping[str, Any]) -> Any:
    """The model's result on these inputs, or None when it raises or gives no finite numbers."""
    try:
        with torch.no_grad():
            result = model(**nested({**{k: v.clone() for k, v in tensors.items()}, **fixed}))
    except Exception:
        return None
    return result if all(bool(torch.isfinite(t).all()) for t in flat(result)) else None


def first_choice(
    model: nn.Module, options: Mapping[str, list[Spec]], fixed: Mapping[str, Any], draw: Drawer
) -> dict[str, int] | None:
    """For each name the index of its first spec that works together with the others; None if none does."""
    orders = sorted(itertools.islice(itertools.product(*(range(len(o)) for o in options.values())), 20000), key=sum)
    for choice in orders[:TRIES]:
        g = torch.Generator().manual_seed(0)
        tensors = {n: draw(options[n][i], g) for n, i in zip(options, choice, strict=True)}
        if attempt(model, tensors, fixed) is not None:
            return dict(zip(options, choice, strict=True))
    return None


def search_inputs(
    model: nn.Module,
    config: Mapping[str, Any],
    names: Mapping[str, inspect.Parameter],
    shapes: Mapping[str, Spec],
    fixed: Mapping[str, Any],
    draw: Drawer,
) -> Iterator[tuple[str, dict[str, torch.Tensor], int, bool]]:
    """Yield (name, tensors, seed, observed) of the probes found; nothing when the model accepts none."""
    required, optional = wanted_tensors(names)
    required += [n for n in shapes if n not in required]
    options = {
        plan: {n: [shapes[n]] if n in shapes else candidates(model, config, n, names[n], plan) for n in required}
        for plan in LENGTHS
    }
    chosen = first_choice(model, options["all"], fixed, draw)
    if chosen is None:
        return
    extra = accepted_optionals(
        model, config, names, [o for o in optional if o not in shapes], options, chosen, fixed, draw
    )

    def tensors(plan: str, seed: int, with_optional: list[str]) -> dict[str, torch.Tensor]:
        g = torch.Generator().manual_seed(seed)
        out = {n: draw(options[plan][n][i], g) for n, i in chosen.items()}
        for n in with_optional:
            out[n] = draw(candidates(model, config, n, names[n], plan)[extra[n]], g)
        return out

    plans = [("all", "all", 11, True, list(extra))]
    plans += [("bare", "all", 12, True, [])] if extra else []
    plans += [(f"only-{n}", "all", 13, True, [n]) for n in extra if len(extra) > 1]
    plans += [("unseen-all", "unseen", 14, False, list(extra))]
    plans += [("unseen-bare", "unseen", 15, False, [])] if extra else []
    plans += [("unseen-values", "all", 16, False, list(extra))]
    for title, plan, seed, observed, with_optional in plans:
        made = tensors(plan, seed, with_optional)
        if attempt(model, made, fixed) is not None:
            yield title, made, seed, observed


def accepted_optionals(
    model: nn.Module,
    config: Mapping[str, Any],
    names: Mapping[str, inspect.Parameter],
    optional: list[str],
    options: Mapping[str, Mapping[str, list[Spec]]],
    chosen: Mapping[str, int],
    fixed: Mapping[str, Any],
    draw: Drawer,
) -> dict[str, int]:
    """Which optional arguments take a tensor that changes the result, and the index of its spec."""
    g = torch.Generator().manual_seed(1)
    base = {n: draw(options["all"][n][i], g) for n, i in chosen.items()}
    before = flat(attempt(model, base, fixed))
    found: dict[str, int] = {}
    for name in optional:
        for index, spec in enumerate(candidates(model, config, name, names[name], "all")[:24]):
            after = flat(attempt(model, {**base, name: draw(spec, g)}, fixed))
            if after and not same(before, after):
                found[name] = index
                break
    return found


def flat(value: Any) -> list[torch.Tensor]:
    """The tensors of a result, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for v in value.values() for t in flat(v)]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in flat(v)]
    return []


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(x.shape == y.shape and torch.equal(x, y) for x, y in zip(a, b, strict=True))
