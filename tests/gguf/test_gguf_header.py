"""A GGUF header gives names, shapes and places of tensors; a damaged or hostile one is refused with every fault."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest
from ggufs import drawn, llama, write
from hypothesis import given, settings
from hypothesis import strategies as st
from portwright.errors import ExitCode, PortError
from portwright.gguf.header import Truncated, parse_header, read_header
from portwright.gguf.types import TYPES


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def number(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def tensor(key: str, shape: tuple[int, ...] = (2,), kind: int = 0, offset: int = 0) -> bytes:
    return text(key) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def packed(pairs: list[bytes], tensors: list[bytes], data: int = 8, version: int = 3, counts: object = None) -> bytes:
    given = counts if isinstance(counts, tuple) else (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, *given) + b"".join(pairs) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + bytes(data)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "another format": (b"PK\x03\x04" + bytes(60), "does not begin with GGUF"),
    "cut in the counts": (b"GGUF" + struct.pack("<I", 3), "ends inside its header"),
    "version 1": (packed([], [], version=1), "its version is 1"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "2^60 tensors": (packed([], [], counts=(1 << 60, 0)), "tensors, more than a header can hold"),
    "2^60 keys": (packed([], [], counts=(0, 1 << 60)), "keys, more than a header can hold"),
    "a text of an exabyte": (
        packed([text("a") + struct.pack("<IQ", 8, 1 << 60)], []),
        "bytes of the value of 'a', more than a header can hold",
    ),
    "an array of an exabyte": (packed([text("a") + struct.pack("<IIQ", 9, 0, 1 << 60)], []), "elements of 'a'"),
    "arrays in arrays in arrays": (
        packed([text("a") + struct.pack("<IIQIQIQ", 9, 9, 1, 9, 1, 9, 1)], []),
        "nests arrays deeper than 2",
    ),
    "an unknown type of value": (packed([text("a") + struct.pack("<I", 77)], []), "unknown type 77"),
    "a key twice": (packed([number("a", 1), number("a", 2)], []), "the key 'a' stands twice"),
    "a key that is no text": (packed([struct.pack("<Q", 1) + b"\xff" + bytes(8)], []), "a key is not UTF-8"),
    "an odd alignment": (packed([number("general.alignment", 24)], []), "not a power of two"),
    "a tensor twice": (packed([], [tensor("a"), tensor("a", offset=32)], 40), "the tensor 'a' stands twice"),
    "an unknown kind of tensor": (packed([], [tensor("a", kind=4)]), "unknown type 4"),
    "nine dimensions": (packed([], [tensor("a", (1,) * 9)]), "9 dimensions"),
    "a size that overflows": (packed([], [tensor("a", (1 << 40, 1 << 40))]), "overflows"),
    "sizes that overflow around a zero": (packed([], [tensor("a", (1 << 62, 1 << 62, 0))]), "overflows"),
    "half a block": (packed([], [tensor("a", (33,), kind=3)], 40), "do not divide into Q4_1's 32"),
    "a number in blocks": (packed([], [tensor("a", (), kind=3)], 40), "do not divide into Q4_1's 32"),
    "outside the file": (packed([], [tensor("a", offset=64)]), "lie outside"),
    "not aligned": (packed([], [tensor("a", offset=4)], 16), "no multiple of 32"),
    "overlapping": (packed([], [tensor("a", (32,)), tensor("b", offset=32)], 128), "overlaps tensor 'a'"),
    "a gap": (packed([], [tensor("a"), tensor("b", offset=96)], 104), "belong to no tensor"),
    "bytes behind": (packed([], [tensor("a")], 80), "the last 72 bytes belong to no tensor"),
    "a name with a line break": (packed([], [tensor("a\nb")]), "cannot be printed"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers_are_refused(case: str, tmp_path: Path) -> None:
    """Each fault is named, with the file, and nothing of the size that the header claims is reserved."""
    content, said = HOSTILE[case]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)

    with pytest.raises(PortError) as caught:
        read_header(path, "hostile.gguf")

    assert caught.value.code is ExitCode.SOURCE
    assert any(said in problem.problem for problem in caught.value.problems), caught.value.problems
    assert {problem.where for problem in caught.value.problems} == {"hostile.gguf"}


def test_a_header_says_what_the_library_says(tmp_path: Path) -> None:
    """Names, types, shapes, places and metadata are those that the gguf library reads from the same file."""
    metadata = {"a.number": 7, "a.text": "grüße", "a.yes": True, "a.list": ["x", "yy"], "a.real": 0.5, "a.ids": [3, 1]}
    path = write(tmp_path / "m.gguf", llama()[0], metadata)

    found, library = read_header(path, "m.gguf"), gguf.GGUFReader(path)

    assert {key: found.metadata[key] for key in metadata} == metadata
    assert list(found.tensors) == [t.name for t in library.tensors]
    for t in library.tensors:
        info = found.tensors[t.name]
        assert info.shape == tuple(map(int, reversed(t.shape)))
        assert (info.packed or info.dtype) == t.tensor_type.name
        assert (found.data_start + info.start, info.end - info.start) == (t.data_offset, t.n_bytes)


def test_types_are_the_librarys() -> None:
    """Elements and bytes of each type's blocks are those of the gguf library."""
    for number, kind in TYPES.items():
        theirs = gguf.GGMLQuantizationType(number)
        assert (kind.name, kind.elements, kind.size) == (theirs.name, *gguf.GGML_QUANT_SIZES[theirs])


def test_a_part_of_a_header_asks_for_more(tmp_path: Path) -> None:
    """The front of a file is enough as soon as it holds the header, and says so where it does not."""
    content = write(tmp_path / "m.gguf", {"a": (drawn(64), "F32")}, {"k": "v" * 500}).read_bytes()

    with pytest.raises(Truncated):
        parse_header(content[:300], len(content), "m.gguf")

    assert list(parse_header(content[:-64], len(content), "m.gguf").tensors) == ["a"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("gguf") / "m.gguf", llama()[0], {"a": ["x", "y"], "b": 3}).read_bytes()


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.integers(0, 1500), st.integers(0, 255), min_size=1, max_size=4))
def test_a_damaged_header_is_read_or_refused(changes: dict[int, int], sound: bytes) -> None:
    """Whatever bytes change, the answer is a header whose tensors lie inside the file, or a PortError."""
    content = bytearray(sound)
    for place, byte in changes.items():
        content[place] = byte

    try:
        found = parse_header(bytes(content), len(content), "m.gguf")
    except (PortError, Truncated):
        return

    assert all(0 <= i.start <= i.end <= len(content) - found.data_start for i in found.tensors.values())
