"""Hostile and damaged safetensors files are refused with every fault named, before anything is written."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portwright.errors import ExitCode, PortError
from portwright.rules.moves import Binding, Move, Target
from portwright.tensorfile import header_length, parse_header, read_header
from remap_harness import headers_of, remap, save
from safetensors import SafetensorError, deserialize

F32 = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def entry(key: str, dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8), **more: object) -> str:
    return json.dumps({key: {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}})[1:-1]


def packed(header: str | bytes, data: int = 8, length: int | None = None) -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(raw) if length is None else length) + raw + bytes(data)


CASES: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "too short for a safetensors header"),
    "seven bytes": (b"\0" * 7, "too short"),
    "header longer than the file": (packed("{}", 0, length=1000), "but the file ends after 10"),
    "header of an exabyte": (packed("{}", 0, length=1 << 60), "at most 100,000,000 are allowed"),
    "not JSON": (packed("{]", 0), "its header is not JSON"),
    "a pickle": (packed(b"\x80\x04\x95\x0b\x00cos\nsystem\n.", 0), "does not begin with {"),
    "a list": (packed("[]", 0), "does not begin with {"),
    "leading blank": (packed(" {}", 0), "does not begin with {"),
    "not UTF-8": (packed(b'{"\xff":1}', 0), "its header is not JSON"),
    "trailing text": (packed("{}x", 0), "its header is not JSON"),
    "deep nesting": (packed('{"a":' * 5000 + "1" + "}" * 5000, 0), "its header is not JSON"),
    "NaN": (packed('{"a":NaN}', 0), "NaN is not JSON"),
    "duplicate key": (packed(f'{{"a":{F32},"a":{F32}}}'), "the key 'a' stands 2 times"),
    "duplicate field": (packed('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}'), "stands twice"),
    "duplicate metadata": (packed('{"__metadata__":{"a":"1","a":"2"}}', 0), "stands twice in its __metadata__"),
    "metadata is no text": (packed('{"__metadata__":{"a":1}}', 0), "__metadata__['a'] is not a string"),
    "metadata is no object": (packed('{"__metadata__":[1]}', 0), "__metadata__ is not an object"),
    "entry is no object": (packed('{"a":7}', 0), "its entry is not an object"),
    "missing fields": (packed('{"a":{"dtype":"F32"}}', 0), "shape and data_offsets missing"),
    "unknown dtype": (packed("{" + entry("a", "F31") + "}"), "unknown dtype 'F31'"),
    "dtype is a number": (packed("{" + entry("a", 7) + "}"), "unknown dtype 7"),
    "negative shape": (packed("{" + entry("a", shape=[-2, -1]) + "}"), "shape [-2, -1] is not a list of sizes"),
    "fractional shape": (packed("{" + entry("a", shape=[2.0]) + "}"), "is not a list of sizes"),
    "boolean shape": (packed("{" + entry("a", shape=[True, 2]) + "}"), "is not a list of sizes"),
    "shape is text": (packed("{" + entry("a", shape="2") + "}"), "is not a list of sizes"),
    "huge shape": (packed("{" + entry("a", shape=[1 << 80]) + "}"), "is not a list of sizes"),
    "product overflows": (packed("{" + entry("a", shape=[1 << 31, 1 << 31, 4]) + "}"), "overflows"),
    "product wraps to fit": (packed("{" + entry("a", shape=[1 << 33, 1 << 29, 1 << 2]) + "}"), "overflows"),
    "offsets backwards": (packed("{" + entry("a", offsets=[8, 0]) + "}"), "lie outside"),
    "offsets beyond the end": (
        packed("{" + entry("a", shape=[4], offsets=[0, 16]) + "}"),
        "lie outside the file's 8 bytes",
    ),
    "negative offset": (packed("{" + entry("a", offsets=[-8, 0]) + "}"), "is not [begin, end]"),
    "three offsets": (packed("{" + entry("a", offsets=[0, 4, 8]) + "}"), "is not [begin, end]"),
    "length does not fit": (packed("{" + entry("a", shape=[3]) + "}"), "takes 12 bytes, its offsets give 8"),
    "half a byte": (packed("{" + entry("a", "F4", [3], [0, 2]) + "}", 2), "does not end at a whole byte"),
    "overlap": (packed("{" + entry("a") + "," + entry("b", offsets=[4, 12]) + "}", 12), "overlaps tensor 'a'"),
    "same bytes twice": (packed("{" + entry("a") + "," + entry("b") + "}"), "overlaps"),
    "gap": (packed("{" + entry("a") + "," + entry("b", offsets=[12, 20]) + "}", 20), "4 bytes between tensor 'a'"),
    "gap at the beginning": (packed("{" + entry("a", offsets=[4, 12]) + "}", 12), "4 bytes between the beginning"),
    "bytes at the end": (packed("{" + entry("a") + "}", 9), "the last 1 bytes belong to no tensor"),
    "cut short": (packed("{" + entry("a") + "}", 7), "lie outside the file's 7 bytes"),
    "name with a control character": (packed("{" + entry("a\x1b[31m") + "}"), "cannot be printed"),
    "name is half a surrogate": (packed('{"\\ud800":' + F32 + "}"), "cannot be printed"),
}
OURS_ONLY = {"duplicate key", "duplicate field", "leading blank", "name with a control character", "duplicate metadata"}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_header_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    """The fault is named, the exit code says source, and the output folder is not even made."""
    content, fault = CASES[name]
    save(tmp_path / "source", {"a": np.zeros(2, "float32")})
    headers = headers_of(tmp_path / "source")
    (tmp_path / "source/model.safetensors").write_bytes(content)
    binding = Binding((Move("library", ("a",), (Target("a", (2,), "F32"),)),), (), headers)
    with pytest.raises(PortError) as caught:
        remap(binding, tmp_path / "source", tmp_path / "out")
    assert any(fault in problem.problem for problem in caught.value.problems), caught.value
    assert caught.value.code == ExitCode.SOURCE
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(set(CASES) - OURS_ONLY))
def test_nothing_that_the_library_refuses_is_missing_here(name: str) -> None:
    """Every case but those that we alone refuse is refused by the safetensors library too."""
    with pytest.raises(SafetensorError):
        deserialize(CASES[name][0])


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """A header with several faults names each."""
    header = "{" + ",".join([entry("a", "F31"), entry("b", shape=[3]), entry("b"), entry("c", offsets=[4, 99])]) + "}"
    (tmp_path / "x.safetensors").write_bytes(packed(header))
    with pytest.raises(PortError) as caught:
        read_header(tmp_path / "x.safetensors", "x.safetensors")
    assert len(caught.value.problems) == 5
    assert all(problem.where == "x.safetensors" for problem in caught.value.problems)


_NUMBER = st.one_of(st.integers(-2, 20), st.sampled_from([1.0, None, "2", 1 << 70, True]))
_ENTRY = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "U8", "BF16", "F4", "X", 3]), "shape": st.lists(_NUMBER, max_size=3)},
    optional={"data_offsets": st.lists(_NUMBER, min_size=1, max_size=3), "extra": st.none()},
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text("ab", max_size=2), _ENTRY, max_size=3), st.integers(0, 24))
def test_we_accept_what_the_library_accepts_and_nothing_else(body: dict[str, object], data: int) -> None:
    """On random headers both agree, whatever their values."""
    content = packed(json.dumps(body), data)
    try:
        deserialize(content)
        good = True
    except SafetensorError:
        good = False
    try:
        length = header_length(content[:8], len(content), "x")
        parse_header(content[8 : 8 + length], len(content), "x")
        ours = True
    except PortError:
        ours = False
    assert ours == good


def test_a_changed_source_is_refused(tmp_path: Path) -> None:
    """Moves bound to one file do not run on another one with the same name."""
    save(tmp_path / "source", {"a": np.zeros(2, "float32")})
    headers = headers_of(tmp_path / "source")
    save(tmp_path / "source", {"a": np.zeros(3, "float32")})
    binding = Binding((Move("library", ("a",), (Target("a", (2,), "F32"),)),), (), headers)
    with pytest.raises(PortError, match="not the one that the rules were bound to"):
        remap(binding, tmp_path / "source", tmp_path / "out")
