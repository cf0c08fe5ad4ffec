"""port.lock: written canonically, read back equal, refused with every problem and its line."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portwright.errors import ExitCode, PortError
from portwright.jsonpos import positions
from portwright.lock import Facts, Lock, LockedComponent, LockedSkill, parse_lock, read_lock, write_lock
from portwright.records import SnapshotFile
from portwright.schema import check

HEX, DIGEST = "a" * 64, "sha256:" + "b" * 64
FACTS = Facts(
    "transformers:BertModel", "encoder", 22_713_216, DIGEST, ("embeddings", "encoder.layer.0"),
    {"pooler": "not called"}, ("long", "padding"), {"bits": 4, "group_size": 64, "mode": "affine"},
)  # fmt: skip
LOCK = Lock(
    "pypi:tiny-model==1.2.3",
    "1.2.3",
    {
        "model/config.json": SnapshotFile("model/config.json", 612, HEX, None, "1.2.3"),
        "model/model.safetensors": SnapshotFile("model/model.safetensors", 90, HEX, "c" * 64, "1.2.3"),
    },
    {"model": LockedComponent("model", "transformers:BertModel", FACTS)},
    LockedSkill("bert", "1.0", {"rules": DIGEST}),
)


def edited(change: dict[tuple[str, ...], Any]) -> bytes:
    value = json.loads(json.dumps(LOCK.to_json()))
    for path, new in change.items():
        node = value
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = new
    return json.dumps(value, indent=2).encode()


def refused(content: bytes) -> list[str]:
    with pytest.raises(PortError) as caught:
        parse_lock(content, "port.lock")
    assert caught.value.code == ExitCode.USAGE
    assert all(p.hint for p in caught.value.problems)
    return [str(p) for p in caught.value.problems]


def test_a_lock_reads_back_equal(tmp_path: Path) -> None:
    """Writing and reading gives an equal lock, in canonical text; writing it again changes nothing."""
    file = tmp_path / "port.lock"
    assert write_lock(file, LOCK)
    assert read_lock(file) == LOCK
    before = file.stat().st_mtime_ns
    assert not write_lock(file, LOCK)
    assert file.stat().st_mtime_ns == before
    text = file.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("schema",), 2, "schema"),
        (("source",), "minilm", "source"),
        (("source",), "pypi:minilm", "which version"),
        (("source",), "hf:../../x@main", "not the name of a model"),
        (("revision",), "../../x", "revision"),
        (("revision",), "", "revision"),
        (("files", "model/config.json", "size"), -1, "too small"),
        (("files", "model/config.json", "size"), 1.5, "size"),
        (("files", "model/config.json", "size"), True, "size"),
        (("files", "model/config.json", "size"), 10**30, "too large"),
        (("files", "model/config.json", "sha256"), "A" * 64, "sha256"),
        (("files", "model/config.json", "sha256"), "a" * 63, "sha256"),
        (("files", "model/config.json", "sha256"), "a" * 64 + "\n", "sha256"),
        (("files", "model/config.json", "mode"), "0777", "unknown key 'mode'"),
        (("files", "../evil"), {"revision": "1", "size": 1, "sha256": HEX}, "../evil"),
        (("files", "/etc/passwd"), {"revision": "1", "size": 1, "sha256": HEX}, "/etc/passwd"),
        (("files", "a/../../b"), {"revision": "1", "size": 1, "sha256": HEX}, "a/../../b"),
        (("files", "a/./b"), {"revision": "1", "size": 1, "sha256": HEX}, "a/./b"),
        (("files", "a//b"), {"revision": "1", "size": 1, "sha256": HEX}, "a//b"),
        (("files", "a/"), {"revision": "1", "size": 1, "sha256": HEX}, "a/"),
        (("files", "C:/b"), {"revision": "1", "size": 1, "sha256": HEX}, "C:/b"),
        (("files", "a\\b"), {"revision": "1", "size": 1, "sha256": HEX}, "files"),
        (("files", "a\n"), {"revision": "1", "size": 1, "sha256": HEX}, "files"),
        (("files", ""), {"revision": "1", "size": 1, "sha256": HEX}, "files"),
        (("files",), {}, "files"),
        (("files",), [], "files"),
        (("components",), {}, "components"),
        (("components", "../x"), None, "components"),
        (("components", "model", "path"), "..", "components.model.path"),
        (("components", "model", "path"), "other", "no pinned file lies in other"),
        (("components", "model", "reference"), "os.system('x')", "reference"),
        (("components", "model", "facts", "parameters"), -3, "too small"),
        (("components", "model", "facts", "config"), HEX, "config"),
        (("components", "model", "facts", "exempt"), {"pooler": ""}, "exempt"),
        (("components", "model", "facts", "modules"), ["a", "a"], "modules"),
        (("skill", "slices"), {"rules": "none"}, "rules"),
        (("skill",), None, "skill"),
        (("extra",), 1, "unknown key 'extra'"),
    ],
)
def test_a_hostile_or_wrong_value_is_refused(path: tuple[str, ...], value: object, said: str) -> None:
    """Each wrong value is one problem or more, of which one names it."""
    assert any(said in problem for problem in refused(edited({path: value})))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"[]", "expected a JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"schema": 1, "schema": 1}', "stands twice"),
        (b'{"schema": NaN}', "NaN is not JSON"),
        (b'{"schema": 1e999}', "outside the range"),
        (b"[" * 100_000, "nests deeper"),
        (b'{"schema": 1', "not valid JSON"),
    ],
)
def test_what_is_no_lock_at_all_is_refused(content: bytes, said: str) -> None:
    """Bytes that are not strict JSON are refused without a traceback."""
    assert any(said in problem for problem in refused(content))


_SCRAPS = st.sampled_from(
    [None, True, -1, 0, 1.5, "", "x", "../x", "/x", "a" * 64, DIGEST, [], ["x"], {}, {"x": 1}]
).map(copy.deepcopy)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_edit_of_a_lock_is_a_traceback(data: st.DataObject) -> None:
    """Any value put anywhere, or anything left out, gives a lock that reads back equal, or a clear refusal."""
    value = LOCK.to_json()
    paths = [path for path in positions(json.dumps(value)) if path]
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        node: Any = value
        with contextlib.suppress(KeyError, TypeError, IndexError):
            for key in path[:-1]:
                node = node[key]
            if data.draw(st.booleans()):
                node[path[-1]] = data.draw(_SCRAPS)
            else:
                del node[path[-1]]
    try:
        lock = parse_lock(json.dumps(value).encode(), "port.lock")
    except PortError as error:
        assert all(p.where.startswith("port.lock") and p.hint for p in error.problems)
    else:
        assert parse_lock(json.dumps(lock.to_json()).encode(), "port.lock") == lock


def test_every_problem_is_told_with_its_line() -> None:
    """Two wrong values are two problems, each with the line of its key."""
    content = edited({("revision",): "", ("files", "model/config.json", "size"): -1})
    lines = content.decode().splitlines()
    said = refused(content)
    for key in ('"revision": ""', '"size": -1'):
        number = next(n for n, line in enumerate(lines, 1) if key in line)
        assert any(problem.startswith(f"port.lock:{number}: ") for problem in said), said


def test_a_lock_that_would_not_read_back_is_not_written(tmp_path: Path) -> None:
    """Writing checks too: nothing is written for a path that leaves its folder."""
    bad = Lock(LOCK.source, "1", {"../x": SnapshotFile("../x", 1, HEX, None, "1")}, LOCK.components, LOCK.skill)
    with pytest.raises(PortError):
        write_lock(tmp_path / "port.lock", bad)
    assert not (tmp_path / "port.lock").exists()


def test_a_missing_lock_is_a_problem_not_a_traceback(tmp_path: Path) -> None:
    """Reading a lock that is not there says how to make one."""
    with pytest.raises(PortError, match="doit port"):
        read_lock(tmp_path / "port.lock")


def test_the_schema_alone_refuses_paths_that_escape() -> None:
    """The gate reads locks by the schema alone: it refuses what could leave a folder."""
    for name in ("../x", "a/..", "/x", "a//b", "a/", "./a", "C:x", "a\\b", "a\n", "."):
        value = json.loads(edited({("files", name): {"revision": "1", "size": 1, "sha256": HEX}}))
        assert check(value, "lock", "port.lock"), name
    for name in ("..a/b..", ".git", "a/.b", "ü/模 型.json"):
        value = json.loads(edited({("files", name): {"revision": "1", "size": 1, "sha256": HEX}}))
        assert not check(value, "lock", "port.lock"), name


def test_positions_of_any_layout() -> None:
    """Keys are found whatever the white space, and strings that look like syntax do not confuse."""
    text = '{"a"\n:\n[1,\n{"b{\\"":2}], "c":\n"},{"}'
    assert positions(text) == {(): 1, ("a",): 1, ("a", 0): 3, ("a", 1): 4, ("a", 1, 'b{"'): 4, ("c",): 4}
