"""Whatever rules and shapes: the port holds what the rules say, and turning it around gives back every byte."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from drawn_checkpoints import Drawn, checkpoints
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remap_harness import bound, export, remap, save, weights


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(checkpoints(), st.sampled_from([40, 200, 1 << 30]))
def test_any_rules_give_what_they_say_and_turn_around(drawn: Drawn, shard_bytes: int) -> None:
    """Forward equals an independent reading in numpy, and export gives the source file back bit for bit."""
    with tempfile.TemporaryDirectory() as name, mock.patch("os.fsync"):  # a disk's pace is not the matter here
        folder = Path(name)
        save(folder / "source", drawn.tensors)
        binding = bound(folder / "source", drawn.rules, drawn.wanted)
        remap(binding, folder / "source", folder / "port", shard_bytes=shard_bytes)
        found = weights(folder / "port")
        assert set(found) == set(drawn.expected)
        for key, array in drawn.expected.items():
            assert found[key].dtype == array.dtype
            np.testing.assert_array_equal(found[key], array, err_msg=key)
        export(folder / "port", folder / "back")
        assert (folder / "back/model.safetensors").read_bytes() == (folder / "source/model.safetensors").read_bytes()
