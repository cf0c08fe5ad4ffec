"""Types of layers that become one type in MLX cannot be told apart there: comparing with them is a hole."""

from __future__ import annotations

from pathlib import Path

from bench import bench

SOURCE = """
from torch import nn


class Both(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.a, self.b = nn.BatchNorm2d(3), nn.BatchNorm1d(width)
        self.gains = [2.0 if isinstance(m, nn.BatchNorm2d) else 1.0 for m in (self.a, self.b)]

    def forward(self, x):
        pictures = self.a(x[:, None].repeat(1, 3, 1, 1)).mean(1)
        return pictures * self.gains[0] + self.b(x.transpose(1, 2)).transpose(1, 2) * self.gains[1]
"""


def test_comparing_types_that_become_one_is_a_hole(tmp_path: Path) -> None:
    """Both of torch's batch norms are MLX's one: a test for one of them would find the other, too."""
    (tmp_path / "compared.py").write_text(SOURCE)
    job = {"reference": "compared:Both", "configs": [{"kwargs": {"width": 8}}], "path": str(tmp_path)}
    (tmp_path / "out").mkdir()
    report = bench([job], tmp_path / "out")[0]
    assert [("isinstance(m, nn.BatchNorm2d)" in h["source"], h["reason"]) for h in report["holes"]] == [
        (True, "the type BatchNorm2d, which is nn.BatchNorm like another layer of the model")
    ]
