"""Generated text: comments stand where a person would put them, and nothing is wider than the page."""

from __future__ import annotations

import ast

import pytest
from portwright.codegen.emit.arguments import flags_of, simplified, without_implied
from portwright.codegen.emit.text import comment_lines, narrowed, unparsed

LONG = "a comment that is much too long to stand behind the statement that it explains, so it goes above"


def test_a_comment_that_fits_stays_behind_its_statement() -> None:
    """`x = 1  # one`."""
    assert unparsed(ast.parse("x = 1\n__beside__('one')")) == "x = 1  # one"


def test_a_comment_for_which_the_line_would_be_broken_stands_above_it() -> None:
    """Also where the statement stands inside something."""
    text = f"if a:\n    x = 1\n    __beside__({LONG!r})"
    assert unparsed(ast.parse(text)).splitlines()[1:] == [
        "    # a comment that is much too long to stand behind the statement that it explains, so",
        "    # it goes above",
        "    x = 1",
    ]


def test_what_is_cut_off_a_comment_begins_its_next_line() -> None:
    """If that goes on with the sentence; another sentence stays apart."""
    assert comment_lines([f"{LONG}, and", "so on", "Also"], "") == [
        "# a comment that is much too long to stand behind the statement that it explains, so it",
        "# goes above, and so on",
        "# Also",
    ]


@pytest.mark.parametrize("prefix", ["", "f"])
def test_a_long_text_is_several_pieces_with_the_same_value(prefix: str) -> None:
    """Fields of an f-string are not cut."""
    text = f'raise ValueError(\n    {prefix}"{"word " * 14}{{value!r}} {"more " * 9}"\n)\n'
    made = narrowed(text)
    assert max(map(len, made.splitlines())) <= 88
    assert ast.dump(ast.parse(made)) == ast.dump(ast.parse(text))


def test_a_docstring_is_left_alone() -> None:
    """It is no text inside parentheses."""
    text = f'def f():\n    """{LONG}."""\n'
    assert narrowed(text) == text


@pytest.mark.parametrize("test", ["x == 'a'", "x is None", "not x", "not isinstance(x, str)"])
def test_a_check_that_another_one_makes_is_left_out(test: str) -> None:
    """All of these refuse only what `x != 'b'` refuses too."""
    assert without_implied([test, "x != 'b'"]) == ["x != 'b'"]


@pytest.mark.parametrize("test", ["x == 'b'", "y is None", "not y", "not isinstance(x, int)", "x"])
def test_a_check_that_asks_more_stays(test: str) -> None:
    """These refuse something that `x != 'b'` lets pass."""
    assert without_implied([test, "x != 'b'"]) == [test, "x != 'b'"]


def test_constants_in_a_check_are_decided() -> None:
    """And it is turned round where the test was always true."""
    text = "(self.n if 'default' == 'default' else None) is not None"
    assert simplified(text, True) == "self.n is None"


def test_a_check_names_the_fields_that_it_reads() -> None:
    """Of a dict the field, of a config inside the config the whole path, each once."""
    assert flags_of("self.a['x'] != 1 and self.b.get('y') and self.c.d > self.a['z']") == ["a", "b", "c.d"]
