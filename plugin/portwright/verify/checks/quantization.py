"""How much does quantization change: layer by layer, and from end to end, against the unquantized port?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portwright.verify.checks.bijection import undone
from portwright.verify.compare import distance
from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun

# The worst relative error of one layer that rounding to this many bits explains, for normally distributed weights in
# groups: step / sqrt(12) over the weights' size, doubled. A layer beyond it was not quantized from these weights.
PER_LAYER = {2: 1.2, 3: 0.5, 4: 0.25, 5: 0.12, 6: 0.06, 8: 0.016}


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """The worst layer's error, and each end-to-end figure that port.toml has a budget for."""
    if not bench.quantized:
        return
    own = "quantization/lossless" if bench.job.kept else "quantization/layers"
    names = [own, *(f"quantization/{name}" for name in bench.job.budget)]
    if bench.plain_weights is None:
        for name in names:
            yield NotRun(name, "the unquantized weights are not on this machine")
        return
    yield lossless(bench) if bench.job.kept else layers(bench)
    figures = end_to_end(bench)
    for name, budget in bench.job.budget.items():
        metric, limit = ("top1_disagreement", 1 - budget) if name == "top1" else (name, budget)
        if metric in figures:
            yield Measured(f"quantization/{name}", metric, figures[metric], limit, "budget")
        else:
            yield NotRun(f"quantization/{name}", f"no figure is called {name!r}")


def lossless(bench: Bench) -> Measured:
    """Count the quantized weights that MLX does not dequantize to the reference's own numbers, bit for bit."""
    packed = {f"{path}.weight" for path, module in mlx_port.paths_of(bench.stored_model).items() if "scales" in module}
    plain = bench.plain_weights or {}
    said = undone(bench, {key: value for key, value in plain.items() if key in packed})
    said += [
        f"{key}: the portmap does not say what it is made from" for key in packed - set(bench.port.portmap["params"])
    ]
    if not packed:
        said.append("no module is quantized")
    return Measured("quantization/lossless", "mismatches", len(said), 0, "exact", "\n".join(said))


def layers(bench: Bench) -> Measured:
    """Dequantize each layer and compare it with the weight that it was made from."""
    import mlx.core as mx

    plain = mlx_port.parameters(bench.model)
    settings = bench.port.config["quantization"]
    worst, said = 0.0, []
    for path, module in mlx_port.paths_of(bench.stored_model).items():
        if not hasattr(module, "scales"):
            continue
        weight = mx.dequantize(
            module.weight,
            module.scales,
            module.get("biases"),
            group_size=module.group_size,
            bits=module.bits,
            mode=getattr(module, "mode", "affine"),
        )
        found = distance(mlx_port.to_numpy(weight), mlx_port.to_numpy(plain[f"{path}.weight"])).rel_l2
        said.append(f"{path}: {found:.1e}")
        worst = max(worst, found)
    limit = PER_LAYER.get(int(settings["bits"]), 1.0)
    return Measured("quantization/layers", "rel_l2", worst, limit, "budget", "\n".join(said))


def end_to_end(bench: Bench) -> dict[str, float]:
    """Quantized against unquantized port over all probes, by the first output."""
    found: dict[str, list[float]] = {"rel_l2": [], "kl": [], "top1_disagreement": []}
    for probe in bench.golden.probes:
        quantized = bench.native(probe.number).outputs
        for name, plain in list(bench.flown(probe.number).outputs.items())[:1]:
            found["rel_l2"].append(distance(quantized[name], plain).rel_l2)
            p, q = _softmax(plain), _softmax(quantized[name])
            found["kl"].append(float((p * (np.log(p + 1e-12) - np.log(q + 1e-12))).sum(-1).mean()))
            found["top1_disagreement"].append(float((p.argmax(-1) != q.argmax(-1)).mean()))
    return {
        metric: max(max(values), 0.0) if metric == "rel_l2" else float(np.mean(values))
        for metric, values in found.items()
    }


def _softmax(x: NDArray[Any]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(-1, keepdims=True))
    result: NDArray[np.float64] = e / e.sum(-1, keepdims=True)
    return result
