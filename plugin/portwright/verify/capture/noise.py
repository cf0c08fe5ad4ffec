"""Measure the noise of honest arithmetic: each module alone, each module in the run, and each output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from portwright.errors import ExitCode, PortError, Problem
from portwright.reference.probes import Probe
from portwright.verify import tree
from portwright.verify.capture.record import Call, call_with, hooked, is_tensor
from portwright.verify.capture.store import TensorStore
from portwright.verify.capture.wide import Shadow
from portwright.verify.compare import Distance, distance, floored, worst

Arrays = Mapping[str, np.ndarray[Any, Any]]


def figures(found: Distance) -> dict[str, float]:
    """A distance as golden.json holds it: three digits, since the last ones differ from run to run."""
    return {"rel_l2": float(f"{found.rel_l2:.2e}"), "scaled_max": float(f"{found.scaled_max:.2e}")}


def wide_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Copy a tensor out of torch with all its bits (float64 stays float64)."""
    tensor = tensor.detach()
    wide: np.ndarray[Any, Any] = (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()
    return wide.copy()


def result_arrays(value: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {name: wide_numpy(tensor) for name, tensor in tree.flatten(value, is_tensor).items()}


def between(shadow: Arrays, reference: Arrays) -> Distance:
    """The greatest distance over the tensors of two results."""
    return worst(distance(shadow[name], array) for name, array in reference.items() if name in shadow)


def stored(call: Call, store: TensorStore) -> dict[str, np.ndarray[Any, Any]]:
    return result_arrays(tree.decode(call.out, store.load))


def alone(call: Call, shadow: Shadow, store: TensorStore, dtype: str) -> None:
    """Note how far the shadow's module is from the recorded output when it is fed the recorded input."""
    if call.opaque:
        return
    named = {name: tree.decode(node, lambda k: shadow.cast(store.load(k))) for name, node in call.args.items()}
    try:
        with shadow.run(), torch.no_grad():
            output = call_with(shadow.model.get_submodule(call.module), named)
    except Exception:
        return  # it cannot be called alone (it needs state of its parent's run): the run's own noise is used
    call.noise[dtype] = figures(floored(between(result_arrays(output), stored(call, store)), dtype))


def in_run(
    probe: Probe, calls: list[Call], shadow: Shadow, store: TensorStore, reference: Arrays, dtype: str
) -> dict[str, dict[str, float]]:
    """Note how far each call's output drifts in the shadow's own run; return the same for each model output."""
    wanted = {(call.module, call.index): call for call in calls}

    def after(path: str, n: int, output: Any) -> None:
        call = wanted.get((path, n))
        if call is not None:
            if dtype != "float32":  # what a port is held to in flight is what the reference does in the port's dtype
                call.dtypes[dtype] = [
                    str(t.dtype).removeprefix("torch.") for t in tree.flatten(output, is_tensor).values()
                ]
            call.flow[dtype] = figures(floored(between(result_arrays(output), stored(call, store)), dtype))

    arguments = replace(probe, tensors={k: shadow.cast(v) for k, v in probe.tensors.items()}).arguments()
    paths = list(dict.fromkeys(call.module for call in calls))
    with shadow.run(), hooked(shadow.model, paths, None, after):
        try:
            result = result_arrays(shadow.model(**arguments))
        except Exception as error:  # it asks values for their dtype, say
            said = f"its run in {shadow.dtype}, which shows how {dtype} rounds, failed: {type(error).__name__}: {error}"
            raise PortError(Problem("the reference", said), ExitCode.NOT_BUILT) from error
    return {
        name: figures(floored(distance(result[name], array), dtype))
        for name, array in reference.items()
        if name in result
    }
