"""How a port's arguments, checks and licence are written: once each, and no longer than they need to be."""

from __future__ import annotations

from typing import Any

import pytest
from portwright.codegen.emit.arguments import flags_of, maker_of, without_implied
from portwright.codegen.source import merged_licences


@pytest.mark.parametrize(
    ("default", "text"),
    [
        ([], "list"),
        ({}, "dict"),
        (["a"] * 5, "lambda: ['a'] * 5"),
        (["a", "b"] * 3 + ["a"], "lambda: ['a', 'b'] * 3 + ['a']"),
        (["a", "b", "c", "d"], "lambda: ['a', 'b', 'c', 'd']"),
        ([1, 1, 1, 1], "lambda: [1, 1, 1, 1]"),
        ({"k": 1}, "lambda: {'k': 1}"),
    ],
)
def test_a_pattern_of_names_is_written_once(default: Any, text: str) -> None:
    """A default of names that repeat is its period times a number, and means the same."""
    assert maker_of(default) == text
    assert eval(text)() == default


def test_a_check_that_another_implies_is_not_written() -> None:
    """What is refused for being one wrong value is refused by the check of the right one already."""
    right = "self.kind != 'llama3'"
    assert without_implied(["self.kind == 'default'", "self.kind is None", right, "self.other is None"]) == [
        right,
        "self.other is None",
    ]
    assert without_implied(["self.kind == 'llama3'", right]) == ["self.kind == 'llama3'", right]


def test_a_check_names_the_field_that_it_reads() -> None:
    """Of an item by `get` that is the field, and not the method."""
    assert flags_of("self.rope.get('kind', 'x') != 'y'") == ["rope"]
    assert flags_of("self.rope['kind'] != 'y'") == ["rope"]


def test_one_licence_stands_once_under_every_copyright_line() -> None:
    """Remarks stay between them, and what a generator says of the reference's own file does not."""
    licence = "# Licensed under the Apache License\n#\n# Unless required by law"
    one = f"# Copyright A\n#\n# !!!\n# This file was automatically generated from x.py.\n# !!!\n{licence}"
    one = one.replace("# !!!\n# Licensed", "# !!!\n#\n# Licensed")
    two = f"# Copyright B\n#\n# Based on C\n#\n{licence}"
    assert merged_licences([one, two, two]) == (f"# Copyright A\n# Copyright B\n#\n# Based on C\n#\n{licence}",)
