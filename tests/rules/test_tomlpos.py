"""The line finder for TOML: what `tomllib` reads, it can point at."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portwright.tomlpos import locate, positions

TEXT = '''\
schema = 1   # a comment with [brackets] and a = sign
name = """
a
[not.a.table]
"""
"quoted.key" = 'a # not a comment'
a.b.c = { x = 1, "y z" = [1,
  2, # two
  { deep = true }] }

[table.down]
1 = [0, 0]
2 = [
  0,
  1]

[[rule]]
match = "a.{n}"
ops = [
  { split = { axis = 0 } },
  { transpose = [1, 0] },
]
[[rule]]
match = "b"
[rule.drop]
reason = "x"
[[rule.item]]
v = 1
[[rule.item]]
v = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("schema",), 1),
        (("name",), 2),
        (("quoted.key",), 6),
        (("a", "b"), 7),
        (("a", "b", "c", "y z", 1), 8),
        (("a", "b", "c", "y z", 2, "deep"), 9),
        (("table", "down"), 11),
        (("table", "down", "2", 1), 15),
        (("rule", 0, "ops", 1, "transpose"), 21),
        (("rule", 1, "match"), 24),
        (("rule", 1, "drop", "reason"), 26),
        (("rule", 1, "item", 1, "v"), 30),
        (("rule", 1, "to"), 23),
        (("rule", 0, "ops", 0, "split", "sizes"), 20),
        (("absent",), None),
    ],
)
def test_a_key_path_has_the_line_where_it_is_written(path: tuple[str | int, ...], line: int | None) -> None:
    """A path is found at its own line, and a missing key at the table that lacks it."""
    tomllib.loads(TEXT)
    assert locate(TEXT, path) == line


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} | {deeper for key, item in items for deeper in _paths(item, (*path, key))}


def test_every_path_that_the_parser_sees_is_found() -> None:
    """No key or element that `tomllib` reads lacks a position."""
    assert set(positions(TEXT)) == _paths(tomllib.loads(TEXT)) - {()}


@given(st.text(alphabet="ab.=[]{}\"'#\\\n ,1u", max_size=40))
def test_text_that_is_not_toml_never_raises(text: str) -> None:
    """Any text at all gives positions or none; where it is TOML, no path is missed."""
    found = positions(text)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert _paths(parsed) - {()} <= set(found)
