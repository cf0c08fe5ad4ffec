"""A function that a field's being None chooses: a config that sets the field is refused, for its function is not in the
port."""

from __future__ import annotations

from pathlib import Path

from bench import bench
from grade import worst

SOURCE = """
from torch import nn


def near(x):
    return x[:, -2:].mean(1)


def all_of(x):
    return x.mean(1)


class Net(nn.Module):
    def __init__(self, dim=6, window=None):
        super().__init__()
        self.window = window
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        pooled = all_of if self.window is None else near
        return pooled(self.proj(x))
"""


def test_the_field_is_refused_by_its_name(tmp_path: Path) -> None:
    """The first config is right; of the second no number comes out."""
    (tmp_path / "reference.py").write_text(SOURCE)
    configs = [{"kwargs": {"dim": 6}}, {"kwargs": {"dim": 6, "window": 2}}]
    (report,) = bench([{"reference": "reference:Net", "configs": configs, "path": str(tmp_path)}], tmp_path / "out")
    assert report["holes"] == []
    refused = [f for f in report["figures"] if "refused" in f]
    assert [f["config"] for f in refused] == [1] and "window" in refused[0]["refused"]
    assert worst({"figures": [f for f in report["figures"] if f["config"] == 0]}) < 5e-6
