"""Read a golden directory: what the reference was given and what it answered. numpy only, no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from portwright import canonical
from portwright.errors import PortError, Problem
from portwright.verify import tree
from portwright.verify.compare import Distance

Array = NDArray[Any]
HINT = "capture it again: doit capture"


@dataclass(frozen=True)
class Call:
    """One recorded call of one module of the reference."""

    module: str
    probe: int
    index: int
    args: dict[str, tree.Node]
    out: tree.Node
    dtypes: dict[str, list[str]]
    noise: dict[str, Distance]
    flow: dict[str, Distance]


@dataclass(frozen=True)
class GoldenProbe:
    """One run of the whole reference: how it was called, and the noise of each output by dtype."""

    number: int
    name: str
    observed: bool
    tags: tuple[str, ...]
    inputs: str
    outputs: str
    noise: dict[str, dict[str, Distance]]


class Golden:
    """A golden directory, its tensors read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "golden.json"
        if not path.is_file():
            raise PortError(Problem(str(path), "there is no golden here", HINT))
        self.body = canonical.parse_object(path.read_bytes(), str(path))
        self.digest = canonical.sha256_text_file(path)
        self._check_files()

    def _check_files(self) -> None:
        problems = []
        for name, expected in self.body["files"].items():
            path = self.folder / name
            if not path.is_file():
                problems.append(Problem(str(path), "is missing", HINT))
            elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                problems.append(Problem(str(path), "its bytes are not the captured ones", HINT))
        if problems:
            raise PortError(problems)

    @cached_property
    def calls(self) -> list[Call]:
        """All recorded calls, in the order in which the reference completed them."""
        return [
            Call(
                c["module"],
                c["probe"],
                c["index"],
                {a["name"]: a["value"] for a in c["args"]},
                c["out"],
                c["dtypes"],
                _distances(c["noise"]),
                _distances(c["flow"]),
            )
            for c in self.body["calls"]
        ]

    @cached_property
    def probes(self) -> list[GoldenProbe]:
        return [
            GoldenProbe(
                number,
                p["name"],
                p["observed"],
                tuple(p["tags"]),
                p["inputs"],
                p["outputs"],
                {dtype: _distances(noise) for dtype, noise in p["noise"].items()},
            )
            for number, p in enumerate(self.body["probes"])
        ]

    @cached_property
    def _modules(self) -> Any:
        return safe_open(str(self.folder / "modules.safetensors"), "np")

    def tensor(self, key: str) -> Array:
        """One tensor of a module's call."""
        found: Array = self._modules.get_tensor(key)
        return found

    def arguments(self, file: str) -> tuple[dict[str, Array], dict[str, Any]]:
        """The tensors and the other arguments of a run."""
        tensors, metadata = read_tensors(self.folder / file)
        return tensors, json.loads(metadata.get("kwargs", "{}"))

    def outputs(self, probe: GoldenProbe) -> dict[str, Array]:
        return read_tensors(self.folder / probe.outputs)[0]

    def result(self, call: Call) -> dict[str, Array]:
        """The tensors of a module's recorded result, flat."""
        return tree.flatten(tree.decode(call.out, self.tensor), lambda v: isinstance(v, np.ndarray))

    def calls_by_module(self) -> Iterator[tuple[str, list[Call]]]:
        """Modules in the order of their first completed call, with their calls."""
        for module in self.body["order"]:
            yield module, [c for c in self.calls if c.module == module]


def read_tensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a whole safetensors file of numpy dtypes; raises PortError where it is none."""
    try:
        with safe_open(str(path), "np") as file:
            return {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise PortError(Problem(str(path), f"cannot be read as safetensors: {error}", HINT)) from None


def distance_of(noise: dict[str, float]) -> Distance:
    return Distance(noise["rel_l2"], noise["scaled_max"])


def _distances(by_name: dict[str, dict[str, float]]) -> dict[str, Distance]:
    return {name: distance_of(noise) for name, noise in by_name.items()}
