"""Canonical JSON, digests and figures: equal things are equal bytes, and hostile text is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portwright import canonical
from portwright.errors import PortError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_canonical_text_reads_back_equal_and_writes_the_same(value: object) -> None:
    """Writing, reading and writing again gives the same bytes."""
    text = canonical.dumps(value)
    assert text.endswith("\n")
    assert canonical.parse(text.encode(), "x") == value
    assert canonical.dumps(canonical.parse(text, "x")) == text


def test_canonical_text_is_sorted_indented_and_not_escaped() -> None:
    """Keys are sorted, the indent is two, and non-ASCII text stays as it is."""
    assert canonical.dumps({"b": ["é"], "a": 1}) == '{\n  "a": 1,\n  "b": [\n    "é"\n  ]\n}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1, "a": 1}', "the key 'a' stands twice in one object"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' stands twice in one object"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "1e999 is outside the range of a double"),
        (b'{"a": ' + b"1" * 5000 + b"}", "a whole number of 5000 digits"),
        (b'{"a": "\xff"}', "it is not UTF-8 (byte 7 is 0xff)"),
        (rb'{"a": "\ud800"}', "half of a surrogate pair"),
        (b"\xef\xbb\xbf{}", "Unexpected UTF-8 BOM"),
        (b"[" * 100_000, "nests deeper than 64 levels"),
        (b"[" * 70 + b"]" * 70, "nests deeper than 64 levels"),
        (b"", "Expecting value: line 1 column 1"),
        (b"<<<<<<< ours\n", "Expecting value: line 1 column 1"),
    ],
)
def test_hostile_json_is_one_problem(content: bytes, message: str) -> None:
    """Bad bytes give one problem that names the file, never another exception."""
    with pytest.raises(PortError) as caught:
        canonical.parse(content, "port.lock")
    (problem,) = caught.value.problems
    assert problem.where == "port.lock"
    assert message in problem.problem


def test_top_level_must_be_an_object() -> None:
    """A list where an object is expected is named as such."""
    with pytest.raises(PortError, match="expected a JSON object at the top, found an array"):
        canonical.parse_object(b"[]", "x")


def test_key_that_is_no_text_is_refused() -> None:
    """A numeric key would silently become text and could collide."""
    with pytest.raises(ValueError, match="a key must be text"):
        canonical.dumps({"a": [{1: 2}]})


def test_seal_ignores_itself_and_sees_every_other_edit() -> None:
    """The seal covers every key except `seal`."""
    body = canonical.sealed({"a": "1", "b": {"c": "2"}})
    assert canonical.seal(body) == body["seal"]
    assert canonical.seal({**body, "b": {"c": "3"}}) != body["seal"]


def test_text_digest_does_not_see_line_ends() -> None:
    """A CRLF checkout has the digest of the LF blob."""
    assert canonical.sha256_text(b"a\r\nb\r\n") == canonical.sha256_text("a\nb\n") != canonical.sha256_text("a\nb")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.149e-7, "2.1e-07"),
        (0.0, "0.0e+00"),
        (-0.0, "0.0e+00"),
        (1, "1.0e+00"),
        (9.96, "1.0e+01"),
        (4e-320, "0.0e+00"),
    ],
)
def test_figures_have_two_digits(value: float, text: str) -> None:
    """A figure is two digits and a two-digit exponent."""
    assert canonical.figure(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-9e99, max_value=9e99))
def test_every_figure_fits_the_pattern_and_is_within_one_in_twenty(value: float) -> None:
    """Two digits are at most 5 % away from the value, and writing a read figure changes nothing."""
    text = canonical.figure(value)
    assert canonical.FIGURE.fullmatch(text)
    assert canonical.figure(float(text)) == text
    assert math.isclose(float(text), value, rel_tol=0.051, abs_tol=1e-99)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e100])
def test_what_is_no_figure_raises(value: float) -> None:
    """NaN, Infinity and absurd magnitudes cannot be written."""
    with pytest.raises(ValueError, match="figure"):
        canonical.figure(value)


def test_huge_json_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob beyond the bound is refused by its length alone."""
    monkeypatch.setattr(canonical, "MAX_JSON_BYTES", 10)
    monkeypatch.setattr(json, "loads", None)
    with pytest.raises(PortError, match="it holds 13 characters"):
        canonical.parse('{"a": "long"}', "x")
