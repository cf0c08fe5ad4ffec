"""Are the code, the weights, the portmap and the reference's parameters the same list, with the same shapes?"""

from __future__ import annotations

from collections.abc import Iterator

from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.bench import Bench, Measured, NotRun


def run(bench: Bench) -> Iterator[Measured | NotRun]:
    """Count keys that one side lacks, and shapes that differ."""
    mapped, declared = bench.port.portmap["params"], mlx_port.parameters(bench.port.declare())
    stored = bench.port.stored()
    said = [f"{key}: in the weights, not in the code" for key in sorted(set(stored) - set(declared))]
    said += [f"{key}: in the code, not in the weights" for key in sorted(set(declared) - set(stored))]
    plain = {key for key in declared if not _is_quantization(bench, key)}
    said += [f"{key}: in the portmap, not in the code" for key in sorted(set(mapped) - set(declared))]
    said += [f"{key}: in the code, not in the portmap" for key in sorted(plain - set(mapped))]
    inventory = bench.golden.body["parameters"]
    claims = [source for entry in mapped.values() for source in entry["from"]]
    unused = bench.port.portmap.get("unused", {})
    for name, tensor in inventory.items():
        count = claims.count(name)
        if count == 0 and name not in unused and tensor.get("tied") not in claims:
            said.append(f"{name}: a parameter of the reference that reaches nothing in the port")
        elif count > 1:
            said.append(f"{name}: reaches {count} parameters of the port")
    said += [f"{name}: the portmap takes it, the reference has none" for name in sorted(set(claims) - set(inventory))]
    yield Measured("coverage/keys", "mismatches", len(said), 0, "exact", "\n".join(said))
    wrong = [
        f"{key}: {tuple(stored[key].shape)} in the weights, {tuple(declared[key].shape)} in the code"
        for key in sorted(set(stored) & set(declared))
        if stored[key].shape != declared[key].shape
    ]
    wrong += [
        f"{key}: {tuple(entry['shape'])} in the portmap, {tuple(declared[key].shape)} in the code"
        for key, entry in mapped.items()
        if not bench.quantized and key in declared and tuple(entry.get("shape", ())) != tuple(declared[key].shape)
    ]
    yield Measured("coverage/shapes", "mismatches", len(wrong), 0, "exact", "\n".join(wrong))


def _is_quantization(bench: Bench, key: str) -> bool:
    """Tell whether a parameter only exists because a layer is quantized."""
    return bench.quantized and key.rpartition(".")[2] in ("scales", "biases")
