"""A change in place that a view, its base or the caller's name would show is a hole; any other is a new value."""

from __future__ import annotations

from pathlib import Path

from bench import bench
from grade import worst

SOURCE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, dim=6):
        super().__init__()
        self.proj = nn.Linear(dim, 3 * dim)


class Seen(Net):
    def forward(self, x):
        y = self.proj(x)
        query, key, value = y.chunk(3, -1)
        query.mul_(2.0)  # y shows it
        return y + 1, key * value


class Unseen(Net):
    def forward(self, x):
        y = self.proj(x)
        y += 1.0
        y.mul_(2.0)
        query, key, value = y.chunk(3, -1)
        return query + key * value


class Handed(Net):
    def double(self, t):
        t.mul_(2.0)
        return t

    def forward(self, x):
        y = self.proj(x)
        z = self.double(y)  # y is z
        return y + z
"""


def test_only_changes_that_another_name_shows_are_holes(tmp_path: Path) -> None:
    """What is read under another name afterwards cannot be a new value; what is not, is ported and right."""
    (tmp_path / "reference.py").write_text(SOURCE)
    cases = [
        {"reference": f"reference:{name}", "configs": [{"kwargs": {"dim": 6}}], "path": str(tmp_path)}
        for name in ("Seen", "Unseen", "Handed")
    ]
    seen, unseen, handed = bench(cases, tmp_path / "out")
    assert [h["source"] for h in seen["holes"]] == ["query.mul_(2.0)"]
    assert [h["source"] for h in handed["holes"]] == ["t.mul_(2.0)"]
    assert unseen["holes"] == []
    assert worst(unseen) < 5e-6, unseen["figures"]
