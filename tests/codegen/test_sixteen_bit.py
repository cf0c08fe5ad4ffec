"""Weights in bfloat16: a port's outputs have the dtype of the reference's, though every observed run was in float32."""

from __future__ import annotations

from typing import Any

import pytest
from generality import generality

HEAD = """
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
"""
BODIES = {
    "a branch that only casts": """
        y = self.linear(x).float() / 3
        if self.gain.dtype in [torch.float16, torch.bfloat16]:
            y = y.to(self.gain.dtype)
        return y * self.gain
""",
    "a cast where two dtypes differ": """
        table = torch.arange(x.shape[-1]) * 0.1
        if table.dtype != x.dtype:
            table = table.to(dtype=x.dtype)
        return self.linear(x) + table.float().to(x.dtype) * self.gain
""",
    "a cast to a layer's dtype": """
        wanted = self.linear.weight.dtype
        y = x.float() * 0.5
        if y.dtype != wanted:
            y = y.to(wanted)
        return self.linear(y) + (x * 2).float().to(self.linear.weight.dtype)
""",
    "a sum that starts from a number": """
        total = torch.tensor(0.5)
        for part in (x, x * self.gain):
            total = total + self.linear(part)
        return total
""",
    "a number that is a tensor": """
        y = self.linear(x) * torch.tensor(0.25) + self.gain
        y += torch.tensor(1.5)
        return torch.full((), 2.0) - y
""",
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Each body's verdict on float32 and on bfloat16 weights, by its name."""
    folder = tmp_path_factory.mktemp("halves")
    cases = []
    for number, body in enumerate(BODIES.values()):
        (folder / f"halves{number}.py").write_text(HEAD + body.strip("\n") + "\n")
        made = {"reference": f"halves{number}:Model", "configs": [{"kwargs": {"width": 8}}], "path": str(folder)}
        cases.append({**made, "flags": False})
    (folder / "out").mkdir()
    found = {}
    for name, report in zip(BODIES, generality(cases, folder / "out"), strict=True):
        assert report["holes"] == [] and report["error"] is None
        found[name] = {v["label"]: v["verdict"] for v in report["variants"]}
    return found


@pytest.mark.parametrize("name", BODIES)
def test_outputs_have_the_reference_s_dtype(name: str, verdicts: dict[str, dict[str, str]]) -> None:
    """generality.py's bfloat16 run compares numbers and dtypes with the reference's."""
    assert verdicts[name] == {"config 0": "parity", "bfloat16 weights": "parity"}


def test_the_dtype_of_a_quantized_layer_is_the_one_it_computes_in() -> None:
    """Its weight is packed in whole numbers; a cast to their type would be no cast the reference has."""
    import mlx.core as mx
    import mlx.nn as nn
    from portwright.codegen.translate.snippets import SNIPPETS

    names: dict[str, Any] = {}
    exec(SNIPPETS["compute_dtype"], names)
    layer = nn.Linear(64, 8)
    layer.set_dtype(mx.bfloat16)
    assert names["compute_dtype"](layer) == mx.bfloat16
    quantized = nn.QuantizedLinear.from_linear(layer, 64, 4)
    assert quantized.weight.dtype == mx.uint32
    assert names["compute_dtype"](quantized) == mx.bfloat16
