"""Patterns: what they match, what is refused because it could be read in two ways, and how fast they are."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portwright.rules.ambiguity import two_readings
from portwright.rules.pattern import Capture, Pattern, PatternError, parse_pattern, parse_template

TABLES = {"down": {"1": (0, 0), "2": (0, 1), "10": (3, 1)}}


@pytest.mark.parametrize(
    ("pattern", "key", "values"),
    [
        ("a.{n}.{p:weight|bias}", "a.12.bias", {"n": "12", "p": "bias"}),
        ("a.{n}.w", "a.01.w", None),  # numbers have one spelling, so that a name can be given back
        ("a.{n}.w", "a.1.w.x", None),
        ("a.{n}.w", "xa.1.w", None),
        ("a.{m:word}.w", "a.to_q.w", {"m": "to_q"}),
        ("a.{m:word}.w", "a.to.q.w", None),
        ("{m:word}_proj.w", "gate_up_proj.w", {"m": "gate_up"}),
        ("b.{n:down}.w", "b.10.w", {"n": "10"}),
        ("b.{n:down}.w", "b.3.w", None),
        ("{p:weight|weight_g}", "weight_g", {"p": "weight_g"}),
        ("a.+(x)*.w", "a.+(x)*.w", {}),
    ],
)
def test_a_pattern_matches_whole_keys_only(pattern: str, key: str, values: dict[str, str] | None) -> None:
    """A number, a word, a choice and an index of a table each match their own texts, the rest is literal."""
    assert parse_pattern(pattern, TABLES).match(key) == values


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("{a:word}_{b:word}", "the key 'a__a' could be read in two ways"),
        ("{a:word}{n}", "could be read in two ways"),
        ("{a}{b}", "could be read in two ways"),
        ("{p:x|x1}{n}.w", "could be read in two ways"),
        ("{n}.{n}", "{n} is captured twice"),
        ("{n:dwn}", "there is no table 'dwn'"),
        ("{p:a|}", "an option is empty or stands twice"),
        ("{1}", "'1' is not a name"),
        ("a{", "a brace without its partner"),
        ("", "the pattern is empty"),
    ],
)
def test_a_pattern_that_leaves_a_doubt_is_refused(pattern: str, problem: str) -> None:
    """Ambiguous and malformed patterns are errors, each with a hint."""
    with pytest.raises(PatternError, match=re.escape(problem)) as caught:
        parse_pattern(pattern, TABLES)
    assert caught.value.hint


_PARTS = st.one_of(
    st.text("ab.1", min_size=1, max_size=2),
    st.sampled_from([("digits", ()), ("word", ()), ("choice", ("a", "ab", "1")), ("choice", ("b", "1"))]),
)


def _readings(parts: list[object], key: str) -> int:
    """How often `key` can be read, by trying every division of it."""
    if not parts:
        return int(key == "")
    head, rest = parts[0], parts[1:]
    if isinstance(head, str):
        return _readings(rest, key[len(head) :]) if key.startswith(head) else 0
    capture = Capture("x", head[0], head[1])  # type: ignore[index]  # hypothesis gives a pair here
    return sum(
        _readings(rest, key[end:]) for end in range(1, len(key) + 1) if re.fullmatch(capture.expression, key[:end])
    )


@settings(deadline=None, max_examples=80)
@given(st.lists(_PARTS, min_size=1, max_size=4))
def test_ambiguity_is_decided_exactly(parts: list[object]) -> None:
    """A pattern is called ambiguous exactly where trying all divisions of some key finds two, and that key is given."""
    key = two_readings(parts)  # type: ignore[arg-type]  # the same union
    if key is not None:
        assert _readings(parts, key) > 1
    else:
        keys = ("".join(chars) for n in range(1, 6) for chars in itertools.product("ab.1", repeat=n))
        assert all(_readings(parts, text) <= 1 for text in keys)


def test_matching_is_linear_in_the_key() -> None:
    """A hostile key of a hundred thousand characters is decided at once."""
    pattern = parse_pattern("{a:word}_{n}.{b:word}_{m}.{p:weight|bias}", {})
    begin = time.perf_counter()
    assert pattern.match("1_" * 50_000 + "." + "1_" * 50_000) is None
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize(
    ("pattern", "key", "hint"),
    [
        ("b.{n:down}.w", "b.3.w", "table 'down' has no such index"),
        ("a.{m:word}.w", "a.x.y.w", "{m:word} would have to span the dots of 'x.y'"),
        ("a.{p:weight|bias}", "a.scale", "{p} does not allow 'scale'"),
        ("a.{n}.w", "b", ""),
    ],
)
def test_a_near_miss_says_what_was_missing(pattern: str, key: str, hint: str) -> None:
    """A key that almost matches is told which capture stops it."""
    said = parse_pattern(pattern, TABLES).near_miss(key)
    assert hint in said if hint else said == ""


def test_a_template_uses_captures_and_columns() -> None:
    """`{n.0}` is a column of the table's row, `{n}` the captured text."""
    template = parse_template("down.{n.0}.res.{n.1}.{p}.{n}")
    assert template.render({"n": "10", "p": "w"}, {"n": (3, 1)}) == "down.3.res.1.w.10"


@pytest.mark.parametrize("text", ["{x:word}", "{x.y}", "{}", "{x"])
def test_a_template_takes_no_kinds(text: str) -> None:
    """A kind or a half brace in `to` is refused."""
    with pytest.raises(PatternError):
        parse_template(text)


def test_the_prefix_is_the_literal_beginning() -> None:
    """Rules are first tried by their literal beginning."""
    assert [parse_pattern(text, {}).prefix for text in ("a.b.{n}", "{n}.a")] == ["a.b.", ""]
    assert isinstance(parse_pattern("a", {}), Pattern)
