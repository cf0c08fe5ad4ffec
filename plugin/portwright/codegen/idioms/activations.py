"""Recognise activation modules by their answer to a ramp of numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.program import Program
from portwright.codegen.quote import quote
from portwright.codegen.ramp import RAMP

TOLERANCE = 2e-6

# function, layer; the first that answers alike is taken
KNOWN = (
    ("nn.relu", "nn.ReLU()", nn.relu),
    ("nn.gelu", "nn.GELU()", nn.gelu),
    ("nn.gelu_approx", 'nn.GELU(approx="precise")', nn.gelu_approx),
    ("nn.gelu_fast_approx", 'nn.GELU(approx="fast")', nn.gelu_fast_approx),
    ("nn.silu", "nn.SiLU()", nn.silu),
    ("mx.tanh", "nn.Tanh()", mx.tanh),
    ("mx.sigmoid", "nn.Sigmoid()", mx.sigmoid),
    ("nn.mish", "nn.Mish()", nn.mish),
    ("nn.relu6", "nn.ReLU6()", nn.relu6),
    ("nn.relu2", "nn.ReLU2()", lambda x: mx.square(nn.relu(x))),
    ("nn.softplus", "nn.Softplus()", nn.softplus),
    ("nn.hardswish", "nn.Hardswish()", nn.hardswish),
    ("nn.elu", "nn.ELU()", nn.elu),
    ("nn.leaky_relu", "nn.LeakyReLU()", nn.leaky_relu),
    ("nn.selu", "nn.SELU()", nn.selu),
    ("nn.softsign", "nn.Softsign()", nn.softsign),
    ("nn.log_sigmoid", "nn.LogSigmoid()", nn.log_sigmoid),
    ("nn.hard_tanh", "nn.HardTanh()", nn.hard_tanh),
    ("hard_sigmoid", "HardSigmoid()", lambda x: mx.clip(x / 6 + 0.5, 0.0, 1.0)),
    ("sqrt_softplus", "SqrtSoftplus()", lambda x: mx.sqrt(nn.softplus(x))),
)  # fmt: skip


def named(answers: Mapping[str, mx.array]) -> dict[str, tuple[str, str]]:
    """For each recorded answer that an MLX activation gives too, the function and layer that do."""
    ramp = mx.array(RAMP)
    out: dict[str, tuple[str, str]] = {}
    for key, answer in answers.items():
        want = np.array(answer)
        for function, layer, f in KNOWN:
            got = np.array(f(ramp))
            if bool((np.abs(got - want) <= TOLERANCE * np.maximum(1.0, np.abs(want))).all()):
                out[key] = (function, layer)
                break
    return out


def common(known: Mapping[str, tuple[str, str]], program: Program, paths: Iterable[str]) -> tuple[str, str] | None:
    """The one activation that all these modules are."""
    found = {known.get(program.modules[p].response) if p in program.modules else None for p in paths}
    return found.pop() if len(found) == 1 else None


def function_of(known: Mapping[str, tuple[str, str]], program: Program, paths: Iterable[str]) -> str | None:
    both = common(known, program, paths)
    return both[0] if both is not None else None


def layer_of(known: Mapping[str, tuple[str, str]], program: Program, paths: Iterable[str]) -> ast.expr | None:
    both = common(known, program, paths)
    return carried(quote(both[1]), both[1].partition("(")[0]) if both is not None else None


def carried(node: ast.expr, name: str) -> ast.expr:
    """The node; with a demand for its text where the port has to carry it."""
    return node if name.startswith(("nn.", "mx.")) else ask(node, Demand("snippet", name))
