"""The reasons of the atlas: what differs from one model, or one machine, to the next is left out."""

from __future__ import annotations

import pytest
from portwright.atlas.report import general


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("shapes [2, 3] and [4] at 0x7f01", "shapes […] and […] at …"),
        ("Traceback\n  more\nValueError: 3 of 4", "ValueError: N of N"),
        ("no Model in <module 'a.b' from '/srv/py/site-packages/a/b.py'>", "no Model in <module 'a.b' from '…/b.py'>"),
        ("a / b, 1/x and a relative/path/file.py", "a / b, N/x and a relative/path/file.py"),
    ],
)
def test_a_reason_is_the_same_for_every_model_and_machine(said: str, reason: str) -> None:
    """Numbers, addresses and the folders of absolute paths are replaced; the last line alone counts."""
    assert general(said) == reason
