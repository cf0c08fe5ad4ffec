"""The algebra of layouts: moved axes, cancelled transposes, peepholes."""

from __future__ import annotations

import ast

import pytest
from portwright.codegen.layout import last_axis, to_first, to_last


def parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("axis", "rank", "place"), [(0, 4, 0), (1, 4, 3), (2, 4, 1), (-1, 4, 2), (-3, 4, 3), (4, 5, 3)]
)
def test_axis_moves_with_the_channels(axis: int, rank: int, place: int) -> None:
    """Axis 1 goes last, the ones behind it move up."""
    assert last_axis(axis, rank) == place


def test_there_and_back_is_nothing() -> None:
    """Channels-last and back cancels, so no pair of transposes is ever emitted."""
    assert ast.unparse(to_first(to_last(parse("x"), 4), 4)) == "x"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("t[:, :, None, None]", "t[:, None, None, :]"),
        ("y.transpose(0, 2, 1).reshape(b, c, h, w)", "y.reshape(b, h, w, c)"),
        ("x", "x.transpose(0, 2, 3, 1)"),
    ],
)
def test_expressions_are_made_channels_last_without_shuffling(before: str, after: str) -> None:
    """A spread vector or a reshape is written channels-last at once."""
    assert ast.unparse(to_last(parse(before), 4)) == after
