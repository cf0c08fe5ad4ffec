"""Does a port with a key-value cache give token by token what the reference gives at once?

Everything is compared with the reference's own answers to whole texts: token by token, in two pieces, in a batch whose
rows begin at different places, and as the token that greedy decoding would choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from portwright.verify.compare import furthest
from portwright.verify.golden import GoldenProbe
from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Array, Bench, CannotMeasure, Measured, NotRun, compare_all, measured
from portwright.verify.tolerance import limits

SHIFT = 3  # padding of the first row of a batch
SINGLE = 48  # tokens of a text that are given one by one; what is before them is given at once


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Four figures of a port that keeps a cache, none of any other."""
    if not mlx_port.takes_cache(bench.model):
        return
    try:
        from mlx_lm.models.cache import make_prompt_cache
    except ImportError as error:
        raise CannotMeasure(f"mlx-lm is not installed: {error}") from None
    probes = [p for p in bench.golden.probes if bench.code_dtype in p.noise and _is_of_tokens(bench, p)]
    if not probes:
        yield NotRun("cache/decode", "the golden holds no probe of tokens alone")
        return

    def through(probe: GoldenProbe, cuts: list[int]) -> Any:
        tokens = mx.array(_tokens(bench, probe))
        cache = make_prompt_cache(bench.model)
        parts = np.split(np.arange(tokens.shape[1]), cuts)
        given = [bench.model(tokens[:, p[0] : p[-1] + 1], cache=cache) for p in parts if len(p)]
        return mx.concatenate(given, axis=1)

    def compared(probe: GoldenProbe, logits: Any) -> Any:
        return compare_all({"000": mlx_port.to_numpy(logits)}, _wanted(bench, probe), probe.noise[bench.code_dtype])

    singly = {p.number: through(p, _single_cuts(bench, p)) for p in probes}
    yield measured("cache/decode", furthest([compared(p, singly[p.number]) for p in probes]), bench.origin)
    pieces = [compared(p, through(p, [max(1, _length(bench, p) // 3)])) for p in probes]
    yield measured("cache/pieces", furthest(pieces), bench.origin)
    yield greedy(bench, probes, singly)
    yield padded(bench, probes, make_prompt_cache(bench.model))


def greedy(bench: Bench, probes: list[GoldenProbe], singly: dict[int, Any]) -> Measured:
    """Count the positions where another token would be chosen, but for ties: what noise alone may turn around.

    The noise is the golden's. Measured by how far the port is from the reference, every wrong choice would be a tie.
    """
    count, said = 0, []
    for probe in probes:
        wanted, given = next(iter(_wanted(bench, probe).values())), mlx_port.to_numpy(singly[probe.number])
        first = np.partition(wanted, -2, axis=-1)[..., -2:]
        size = np.abs(wanted).max(axis=-1) + np.median(np.abs(wanted))
        noise = next(iter(probe.noise[bench.code_dtype].values())).scaled_max
        wrong = wanted.argmax(-1) != given.argmax(-1)
        wrong &= first[..., 1] - first[..., 0] > 2 * limits().headroom * noise * size  # two logits, each off by so much
        if wrong.any():
            count += int(wrong.sum())
            said.append(f"{probe.name}: another token at {np.argwhere(wrong)[0].tolist()}")
    return Measured("cache/greedy", "mismatches", count, 0, "exact", "\n".join(said))


def padded(bench: Bench, probes: list[GoldenProbe], plain: list[Any]) -> Measured | NotRun:
    """A batch whose first row is padded on the left, through mlx-lm's caches for batches."""
    from mlx_lm.models.cache import BatchKVCache, BatchRotatingKVCache

    kinds = {type(c).__name__ for c in plain}
    probe = next((p for p in probes if len(_tokens(bench, p)) > 1 and _length(bench, p) > SHIFT + 2), None)
    if probe is None or not kinds <= {"KVCache", "RotatingKVCache"}:
        why = "no probe has two rows" if probe is None else f"mlx-lm pads no {', '.join(sorted(kinds))}"
        return NotRun("cache/padded", why)
    tokens = mx.array(_tokens(bench, probe))
    rows, length = tokens.shape
    left = [SHIFT] + [0] * (rows - 1)
    moved = mx.concatenate([mx.zeros((1, SHIFT), tokens.dtype), tokens[:1, :-SHIFT]], axis=1)
    batch = mx.concatenate([moved, tokens[1:]], axis=0)
    cache = [
        BatchRotatingKVCache(c.max_size, left) if type(c).__name__ == "RotatingKVCache" else BatchKVCache(left)
        for c in plain
    ]
    given = [bench.model(batch[:, : length - 2], cache=cache)]
    given += [bench.model(batch[:, n : n + 1], cache=cache) for n in (length - 2, length - 1)]
    logits = mlx_port.to_numpy(mx.concatenate(given, axis=1))
    wanted = next(iter(_wanted(bench, probe).values()))
    noise = next(iter(probe.noise[bench.code_dtype].values()))
    found = [compare_all({"row 0": logits[0, SHIFT:]}, {"row 0": wanted[0, :-SHIFT]}, noise)]
    found.append(compare_all({"others": logits[1:]}, {"others": wanted[1:]}, noise))
    return measured("cache/padded", furthest(found), bench.origin)


def _is_of_tokens(bench: Bench, probe: GoldenProbe) -> bool:
    """Whether a probe gives tokens and nothing else."""
    tensors, kwargs = bench.golden.arguments(probe.inputs)
    return set(tensors) == {"input_ids"} and not kwargs


def _tokens(bench: Bench, probe: GoldenProbe) -> Array:
    return bench.golden.arguments(probe.inputs)[0]["input_ids"]


def _length(bench: Bench, probe: GoldenProbe) -> int:
    return int(_tokens(bench, probe).shape[1])


def _single_cuts(bench: Bench, probe: GoldenProbe) -> list[int]:
    length = _length(bench, probe)
    return list(range(max(length // 2, length - SINGLE), length))


def _wanted(bench: Bench, probe: GoldenProbe) -> dict[str, Array]:
    """The reference's logits."""
    return bench.golden.outputs(probe)
