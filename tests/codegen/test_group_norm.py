"""The group norm that ports carry: as near to the true value as torch's, however large the picture is."""

from __future__ import annotations

import subprocess
import sys

from portwright.codegen.translate.snippets import SNIPPETS

MEASURE = """
import mlx.core as mx
import mlx.nn as nn
import numpy as np

{snippet}

x = np.random.default_rng(0).standard_normal((1, 128, 96, 8)).astype(np.float32) + 1
groups = x.astype(np.float64).reshape(1, -1, 2, 4)
mean, variance = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
wanted = ((groups - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
got = np.array(PreciseGroupNorm(2, 8)(mx.array(x)))
print(np.abs(got - wanted).max())
"""


def test_a_large_picture_costs_no_digits() -> None:
    """Over 49,152 values a group, where MLX's own layer errs by more than 1e-5."""
    script = MEASURE.format(snippet=SNIPPETS["PreciseGroupNorm"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2e-6
