"""Name every check that a component must pass, from the facts in port.lock. Standard library only.

A check's identity is `<check>/<where>`; the manifest puts `<component>/` before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What every component is held to, whatever its kind.
ALWAYS = (
    "coverage/keys",
    "coverage/shapes",
    "bijection/elements",
    "dtype/rest",
    "dtype/flight",
    "isolate/share",
    "flow/modules",
    "outputs/observed",
    "outputs/unobserved",
    "elements/modules",
    "elements/outputs",
    "determinism/repeat",
    "sensitivity/parameters",
    "sensitivity/inputs",
    "speed/forward",
    "speed/peak_memory",
)
# What a component is held to if it has the trait (`facts["traits"]`): the capture found the property in the reference,
# or the port is stored in 16 bits ("native") or keeps a key-value cache ("cache").
TRAITS = {
    "long": ("long/positions",),
    "greedy": ("greedy/tokens",),
    "padding": ("padding/invariance",),
    "batch": ("batch/invariance",),
    "native": ("native/outputs",),
    "cache": ("cache/decode", "cache/pieces", "cache/greedy", "cache/padded"),
}


def check_ids(
    facts: Mapping[str, Any],
    *,
    quantized: bool = False,
    kept: bool = False,
    budget: Mapping[str, float] | None = None,
) -> tuple[str, ...]:
    """List the checks for facts `{"modules": [...], "exempt": {module: why}, "traits": [...]}`, sorted.

    `modules` are the reference's parameter-holding modules that its forward calls; `budget` holds the limits of
    `[quantize]` in port.toml ("kl", "top1", "rel_l2"); `kept` says that the quantization is the source's own.
    """
    exempt = facts.get("exempt", {})
    ids = {*ALWAYS, *(f"isolate/{module}" for module in facts.get("modules", ()) if module not in exempt)}
    ids |= {check for trait in facts.get("traits", ()) for check in TRAITS.get(trait, ())}
    if quantized:
        ids |= {
            "quantization/lossless" if kept else "quantization/layers",
            *(f"quantization/{name}" for name in budget or {}),
        }
    return tuple(sorted(ids))
