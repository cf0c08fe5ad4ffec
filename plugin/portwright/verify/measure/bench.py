"""What the checks share: the port, the golden, and the runs, each made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from numpy.typing import NDArray

from portwright.errors import PortError, Problem
from portwright.verify.compare import INCOMPARABLE, Comparison, Distance, Figure, against, describe, distance, furthest
from portwright.verify.golden import Golden
from portwright.verify.measure import ledger
from portwright.verify.measure import port as mlx_port
from portwright.verify.measure.port import Port
from portwright.verify.tolerance import limits

Array = NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """One figure of one check, with what to say when it is out of tolerance."""

    check: str  # "<check>/<where>"
    metric: str
    value: float
    noise: float
    origin: str
    detail: str = ""
    elements: Figure | None = None  # the same comparison's greatest scaled difference


@dataclass(frozen=True)
class NotRun:
    """A check that could not run, and why: never a pass."""

    check: str
    why: str


class CannotMeasure(Exception):
    """Why a check cannot run on this machine: it is not run, which is never a pass."""


@dataclass(frozen=True)
class Job:
    """What is asked of the measure worker."""

    port: Path
    golden: Path
    out: Path
    dtype: str = "float32"
    portmap: Path | None = None
    moves: Path | None = None
    snapshot: Path | None = None
    unquantized: tuple[Path, ...] = ()
    kept: bool = False  # the port's quantization is the source's own, so that its weights are the reference's
    budget: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flown:
    """One run of the whole port with what every module gave, as numpy, and the dtypes on the way."""

    outputs: dict[str, Array]
    modules: dict[tuple[str, int], dict[str, Array]]  # by (path in the port, call number)
    dtypes: dict[tuple[str, int], tuple[str, ...]]


class Bench:
    """Everything that a check may ask for.

    The code is judged in float32 on the weights that the golden was captured with, whatever the port is stored in: what
    a port computes and how its weights are rounded are two questions. Where those weights cannot be had (a 16-bit port
    on a machine without the source), the code is judged as stored, against the noise of that dtype.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.golden = Golden(job.golden)
        self.port = Port(job.port, job.portmap)
        self.dtype = job.dtype
        self.quantized = "quantization" in self.port.config
        self._flown: dict[int, Flown] = {}
        self._native: dict[int, Flown] = {}
        self.done: list[Measured] = []  # what the checks before have measured

    @cached_property
    def stored_model(self) -> nn.Module:
        """The port as it is stored."""
        return self.port.load()

    @cached_property
    def plain_weights(self) -> dict[str, mx.array] | None:
        """The golden's own weights in the port's names and layouts, float32; None where they cannot be had."""
        if self.dtype == "float32" and not self.quantized:
            return self.port.stored()
        if self.job.kept:
            return self.port.dequantized()
        if self.job.moves is not None and self.job.snapshot is not None:
            return ledger.rebuilt(self.job.moves, self.job.snapshot)
        if self.dtype in self.golden.body["held_exactly"]:
            if not self.quantized:
                return self.port.stored()
            if self.job.unquantized:
                return {k: v for file in self.job.unquantized for k, v in mlx_port.read_safetensors(file).items()}
        return None

    @cached_property
    def model(self) -> nn.Module:
        """The port whose code is judged: in float32 and unquantized where that can be had."""
        if self.dtype == "float32" and not self.quantized:
            return self.stored_model
        if self.plain_weights is not None:
            return self.port.load_plain(self.plain_weights, "float32")
        if self.quantized:
            raise CannotMeasure("the port is quantized, and its unquantized weights are not on this machine")
        return self.stored_model

    @cached_property
    def code_dtype(self) -> str:
        """The dtype in which the code is judged."""
        return "float32" if self.dtype == "float32" or self.plain_weights is not None else self.dtype

    @property
    def origin(self) -> str:
        """Where the noise comes from that the code is judged by: the next wider dtype."""
        return "fp64" if self.code_dtype == "float32" else "fp32"

    @property
    def floats(self) -> Any:
        """The MLX dtype in which the judged code is handed its floats."""
        return mlx_port.DTYPES[self.code_dtype]

    def run(self, file: str) -> dict[str, Array]:
        """The outputs of the judged code on one file of inputs."""
        return self.call(*self.golden.arguments(file))

    def call(self, tensors: Mapping[str, Array], kwargs: Mapping[str, Any]) -> dict[str, Array]:
        """The outputs of the judged code on these inputs."""
        return mlx_port.arrays(mlx_port.run(self.model, tensors, kwargs, self.floats))

    @property
    def modules(self) -> dict[str, dict[str, Any]]:
        """The portmap's modules by path in the port."""
        found: dict[str, dict[str, Any]] = self.port.portmap.get("modules", {})
        return found

    @cached_property
    def by_reference(self) -> dict[str, str]:
        """Path in the port of each module of the reference that the portmap names."""
        return {entry["ref"]: path for path, entry in self.modules.items() if "ref" in entry}

    def exempt(self) -> dict[str, str]:
        """Reference modules that the portmap takes out of isolation, with the reason."""
        held = set(self.golden.body["facts"]["modules"])
        return {
            entry.get("ref", path): entry.get("why", "no reason given")
            for path, entry in self.modules.items()
            if entry.get("isolate") is False and entry.get("ref", path) in held
        }

    def flown(self, probe: int) -> Flown:
        """The run of one probe on the code that is judged, module by module."""
        if probe not in self._flown:
            tensors, kwargs = self.golden.arguments(self.golden.probes[probe].inputs)
            self._flown[probe] = fly(self.model, tensors, kwargs, self.floats)
        return self._flown[probe]

    def native(self, probe: int) -> Flown:
        """The run of one probe on the port as it is stored, floats handed over in its dtype."""
        if probe not in self._native:
            tensors, kwargs = self.golden.arguments(self.golden.probes[probe].inputs)
            self._native[probe] = fly(self.stored_model, tensors, kwargs, mlx_port.DTYPES[self.dtype])
        return self._native[probe]


def fly(model: nn.Module, tensors: Mapping[str, Array], kwargs: Mapping[str, Any], dtype: Any = None) -> Flown:
    """Run the port and keep every module's output."""
    seen: dict[tuple[str, int], Any] = {}

    def after(path: str, n: int, output: Any) -> None:
        # a new object for each: what the port changes in place later is not what the module gave
        seen[path, n] = {name: mx.array(a) for name, a in mlx_port.named_outputs(output).items()}

    with mlx_port.observed(model, after):
        result = mlx_port.run(model, tensors, kwargs, dtype)
    return Flown(
        mlx_port.arrays(result),
        {key: {name: mlx_port.to_numpy(a) for name, a in value.items()} for key, value in seen.items()},
        {key: tuple(str(a.dtype).removeprefix("mlx.core.") for a in value.values()) for key, value in seen.items()},
    )


def compare_all(
    actual: Mapping[str, Array], expected: Mapping[str, Array], noise: Mapping[str, Distance] | Distance
) -> Comparison:
    """Compare named tensors; what is out of tolerance, missing or too many is said, tensor by tensor.

    Raises PortError where neither side gives a tensor.
    """
    if not expected and not actual:
        raise PortError(Problem("verify", "the reference gives no tensor, so there is nothing to compare"))
    found: list[Comparison] = []
    for name, wanted in expected.items():
        allowed = noise if isinstance(noise, Distance) else noise[name]
        given = actual.get(name)
        one = against(distance(given, wanted) if given is not None else INCOMPARABLE, allowed)
        said = ""
        if one.ratio > limits().headroom:
            text = "is missing" if given is None else describe(given, wanted, limits().headroom * allowed.scaled_max)
            said = f"{name}: {text}"
        found.append(replace(one, said=said))
    for name in sorted(set(actual) - set(expected)):
        allowed = noise if isinstance(noise, Distance) else next(iter(noise.values()), INCOMPARABLE)
        found.append(replace(against(INCOMPARABLE, allowed), said=f"{name}: the reference gives no such output"))
    return furthest(found)


def measured(check: str, found: Comparison, origin: str) -> Measured:
    """The entry of a comparison: its relative L2, with the element-wise view beside it (see the check `elements`)."""
    return Measured(check, "rel_l2", found.rel_l2.value, found.rel_l2.noise, origin, found.said, found.scaled_max)
