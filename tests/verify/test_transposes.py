"""The transposes of a convolution network are counted against the fewest that its arguments and results allow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from portwright.openblas import preload
from portwright.tryport import run_try
from verifylab import FIXTURES

COUNT = """
import json
import mlx.core as mx
import mlx.nn as nn
import numpy as np
from portwright.verify.measure.transposes import counted, traced


class Net(nn.Module):
    def __init__(self, shuffled):
        super().__init__()
        self.shuffled = shuffled
        self.first = nn.Conv2d(3, 8, 3)
        self.query = nn.Linear(8, 8)
        self.last = nn.Conv2d(8, 2, 3)

    def __call__(self, picture):
        x = self.first(picture.transpose(0, 2, 3, 1))
        if self.shuffled:
            x = nn.relu(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        batch, height, width, channels = x.shape
        rows = self.query(x.reshape(batch, -1, channels))
        scores = mx.softmax(rows @ rows.transpose(0, 2, 1), axis=-1)
        x = x + (scores @ rows).reshape(x.shape)
        return self.last(x).transpose(0, 3, 1, 2)


class Rows(nn.Module):
    def __call__(self, rows):
        return rows.transpose(0, 2, 1)


picture = np.zeros((2, 3, 9, 7), np.float32)
found = [counted(traced(Net(shuffled), {"picture": picture}, {})) for shuffled in (False, True)]
print(json.dumps([*found, counted(traced(Rows(), {"rows": picture[0]}, {}))]))
"""


def test_shuffling_inside_is_counted_and_products_are_not() -> None:
    """There and back between two convolutions is two too many; a factor of a product, or no convolution, is none."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=preload(dict(os.environ)), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    straight, shuffled, rows = json.loads(done.stdout)
    assert straight == {"transposes": 2, "minimum": 2, "other": 1}
    assert shuffled == {"transposes": 4, "minimum": 2, "other": 1}
    assert rows is None


@pytest.mark.parametrize(
    ("reference", "layout"),
    [("reference_picture:PictureNet", {"transposes": 2, "minimum": 2}), ("reference_plain:Plain", None)],
)
def test_try_reports_the_layout(reference: str, layout: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture enters once and leaves once, and a network without convolutions has no layout."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FIXTURES), os.environ.get("PYTHONPATH", "")]))
    result = run_try(reference)
    found = result.layout and {k: result.layout[k] for k in ("transposes", "minimum")}
    assert (result.status, found) == ("ported", layout), result.to_json()
