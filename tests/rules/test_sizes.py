"""Sizes in rules: a small arithmetic over config fields, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portwright.rules.sizes import SizeError, Sizes, parse_size

CONFIG = {"heads": 12, "dim": 64, "text": {"width": 768}, "blocks": [320, 640], "name": "x", "flag": True, "none": None}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (7, 7),
        ("heads * dim", 768),
        ("text.width // heads", 64),
        ("(heads + 2 * kv) * dim", 1024),
        ("blocks[1] - blocks[0]", 320),
        ("-heads + 13", 1),
        ("double", 1536),
    ],
)
def test_a_size_is_computed_from_the_config(expression: str | int, value: int) -> None:
    """Config fields, nested ones, list items and the names of [sizes] can be used."""
    assert Sizes({"kv": 2, "double": "inner * 2", "inner": "heads * dim"}, CONFIG).value(expression) == value


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("head", "the config has no 'head'"),
        ("text.widht", "the config has no 'text.widht'"),
        ("none", "the config has no 'none'"),
        ("name", "'x', not a whole number"),
        ("flag * 2", "True, not a whole number"),
        ("blocks[7]", "does not exist in the config"),
        ("dim // (heads - 12)", "divides by zero"),
        ("dim // 5", "leaves a remainder"),
        ("heads * 99999999999999", "out of range"),
        ("loop", "goes in a circle"),
    ],
)
def test_a_size_that_cannot_be_computed_says_why(expression: str, problem: str) -> None:
    """What the config lacks or what is no whole number is named."""
    with pytest.raises(SizeError, match=problem.replace("[", r"\[")):
        Sizes({"loop": "back + 1", "back": "loop"}, CONFIG).value(expression)


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os')", "a ** 9", "a / 2", "a if b else c", "[1][0]", "(lambda: 1)()", "a.b()", "'x' * 9"),
        *("True", "1.5", "a[b]", "a[:1]", "a @ b", "~a", "a, b", "a := 1", "", "1 +", "(" * 300, "a" * 201),
        *("().__class__", "f'{a}'"),
    ],
)
def test_python_is_refused(text: str) -> None:
    """Whatever is not plain arithmetic is an error when the rules are read."""
    with pytest.raises(SizeError):
        parse_size(text)


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text makes the parser raise anything else."""
    try:
        Sizes({}, CONFIG).value(text)
    except SizeError as error:
        assert error.problem
