"""hf: sources: the real huggingface_hub client against a loopback server, with everything that can go wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import hub as loopback
import pytest
from hub import LoopbackHub
from portwright.errors import ExitCode, PortError
from portwright.records import Snapshot, SnapshotFile
from portwright.sources import fetch, hub_errors, parse_source, peek
from wheels import tensor_file

MODEL = "org/tiny"
REF = parse_source(f"hf:{MODEL}@main")
WEIGHTS = tensor_file({"w": 1_200_000})  # 4.8 MB: several of the chunks in which it moves
FILES = {
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"---\nlicense: mit\n---\n",
    "config.json": b'{"hidden_size": 4}\n',
    "model.safetensors": WEIGHTS,
    "text_encoder/config.json": b'{"hidden_size": 8}\n',
    "text_encoder/model.safetensors": tensor_file({"v": 3_000}),
}
WANTED = ("*.json", "*.safetensors")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub with one model, and a client in this process that talks to it."""
    monkeypatch.setattr(hub_errors, "WAITS", (0.01, 0.02))
    impatient = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.file_download.time", impatient)
    monkeypatch.setattr("huggingface_hub.utils._http.time", impatient)
    with LoopbackHub() as server:
        server.add(MODEL, FILES)
        loopback.use_in_process(server, tmp_path / "hf", monkeypatch.setenv, monkeypatch.setattr)
        yield server


def take(cache: Path, ref: str = REF.text, **options: object) -> Snapshot:
    return fetch(parse_source(ref), WANTED, cache=cache, **options)  # type: ignore[arg-type]


def failed(cache: Path, ref: str = REF.text, **options: object) -> str:
    with pytest.raises(PortError) as caught:
        take(cache, ref, **options)
    assert caught.value.code == ExitCode.SOURCE
    assert all(p.hint for p in caught.value.problems)
    said = str(caught.value)
    assert "secret" not in said and "http" not in said
    return said


def test_the_wanted_files_arrive(hub: LoopbackHub, cache: Path) -> None:
    """Wanted files are whole, digested, at the branch's commit, in the client's own cache; no other byte moves."""
    said: list[tuple[int, int, str]] = []
    snapshot = take(cache, on_progress=lambda *event: said.append(event))
    assert snapshot.revision == hub.commit_of(MODEL, "main")
    assert [f.path for f in snapshot.files] == ["config.json", "model.safetensors"]
    weights = snapshot.files[1]
    assert weights.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert weights.header_sha256 == hashlib.sha256(WEIGHTS[8 : 8 + WEIGHTS[0] + 256 * WEIGHTS[1]]).hexdigest()
    assert (snapshot.root / "model.safetensors").read_bytes() == WEIGHTS
    assert snapshot.root.parts[-4:] == ("hub", "models--org--tiny", "snapshots", snapshot.revision)
    assert said[-1][0] == said[-1][1] == sum(f.size for f in snapshot.files)
    assert sorted({r.path.rsplit("/", 1)[-1] for r in hub.bodies()}) == ["config.json", "model.safetensors"]


def test_an_intact_snapshot_makes_no_connection_when_pinned(hub: LoopbackHub, cache: Path) -> None:
    """Pinned and complete: not one request, not one byte of weights read."""
    first = take(cache)
    hub.requests.clear()
    assert take(cache, pinned={f.path: f for f in first.files}) == first
    assert not hub.requests


def test_a_cache_behind_a_link_is_the_same_cache(
    hub: LoopbackHub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that is reached through a link works like any other."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "link"))
    assert (take(cache).root / "config.json").read_bytes() == FILES["config.json"]


def test_two_ports_pinned_to_two_commits_do_not_disturb_each_other(hub: LoopbackHub, cache: Path) -> None:
    """Ports of one branch pinned at different times share a cache, and neither makes the other ask again."""
    first = take(cache)
    hub.add(MODEL, {**FILES, "config.json": b'{"hidden_size": 5}\n'})
    second = take(cache)
    hub.requests.clear()
    for snapshot in (first, second, first):
        assert take(cache, pinned={f.path: f for f in snapshot.files}) == snapshot
    assert not hub.requests


def test_a_pinned_commit_stays_when_the_branch_moves(hub: LoopbackHub, cache: Path) -> None:
    """The lock's commit is fetched although the branch has gone on, on a machine that has nothing yet too."""
    first = take(cache)
    hub.add(MODEL, {**FILES, "config.json": b'{"hidden_size": 5}\n'})
    assert take(cache / "other", pinned={f.path: f for f in first.files}) == first
    moved = take(cache)
    assert moved.revision != first.revision
    assert moved.files[1] == SnapshotFile(**{**vars(first.files[1]), "revision": moved.revision})


def test_a_commit_is_a_revision(hub: LoopbackHub, cache: Path) -> None:
    """A source that names its commit needs no look at the branch."""
    commit = hub.commit_of(MODEL, "main")
    assert take(cache, f"hf:{MODEL}@{commit}").revision == commit
    assert not [r for r in hub.requests if "/revision/" in r.path]


def test_offline_the_cache_serves(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cached is found without a network, with or without pins; what is not says so."""
    first = take(cache)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert take(cache) == first
    pins = {f.path: f for f in first.files}
    assert take(cache / "no sidecar", pinned=pins) == first
    assert "HF_HUB_OFFLINE" in failed(cache, f"hf:{MODEL}@other")


def test_a_dead_hub_is_one_clear_problem(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody answers, the message speaks of the network, not of a traceback."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PortError, match="connection to the Hub failed") as caught:
        take(cache)
    assert "HF_ENDPOINT" in caught.value.problems[0].hint


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_connection_cut_in_mid_file_resumes(hub: LoopbackHub, cache: Path, kind: str) -> None:
    """After a cut the rest is asked for by range, and every whole mebibyte moves once."""
    getattr(hub.faults, kind)["model.safetensors"] = [2_500_000, 1_500_000]
    snapshot = take(cache)
    assert (snapshot.root / "model.safetensors").read_bytes() == WEIGHTS
    moved = hub.bodies("model.safetensors")
    assert [r.status for r in moved] == [200, 206, 206]
    assert [r.range for r in moved[1:]] == [f"bytes={n << 20}-" for n in (2, 3)]  # whole chunks are kept


def test_a_run_resumes_what_an_earlier_run_left(hub: LoopbackHub, cache: Path) -> None:
    """A run that gave up leaves its bytes to the next, which asks for the rest only."""
    hub.faults.cut["model.safetensors"] = [2_500_000] + [0] * 60
    assert "connection" in failed(cache)
    assert not list(cache.parent.rglob("snapshots/*/model.safetensors"))
    hub.faults.cut.clear()
    hub.requests.clear()
    take(cache)
    (moved,) = hub.bodies("model.safetensors")
    assert moved.range == f"bytes={2 << 20}-"


def test_a_server_without_ranges_starts_over(hub: LoopbackHub, cache: Path) -> None:
    """Where ranges are ignored the file comes whole, not twice in a row."""
    hub.faults.ignore_range = True
    hub.faults.cut["model.safetensors"] = [2_500_000]
    assert (take(cache).root / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_wrong_bytes_never_get_their_name(hub: LoopbackHub, cache: Path, name: str) -> None:
    """Bytes that are not the ones the Hub lists are refused, and nothing of them is left under a final name."""
    hub.faults.corrupt[name] = 99
    said = failed(cache)
    assert name in said and "not the ones that the Hub lists" in said
    good = {hashlib.sha256(body).hexdigest() for body in FILES.values()}
    blobs = (cache.parent / "hf" / "hub" / "models--org--tiny" / "blobs").glob("*")
    assert all(hashlib.sha256(blob.read_bytes()).hexdigest() in good for blob in blobs)
    assert not list(cache.parent.rglob(f"snapshots/*/{name}"))
    hub.faults.corrupt.clear()
    assert (take(cache).root / name).read_bytes() == FILES[name]


def test_a_spoiled_partial_file_is_started_over(hub: LoopbackHub, cache: Path) -> None:
    """If what an earlier run left is wrong, the file comes whole without a word."""
    hub.faults.cut["model.safetensors"] = [2_500_000] + [0] * 60
    failed(cache)
    hub.faults.cut.clear()
    (partial,) = cache.parent.rglob("*.incomplete")
    raw = partial.read_bytes()
    partial.write_bytes(b"\xff" + raw[1:])
    assert (take(cache).root / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("damage", ["cut", "flip", "delete"])
def test_a_damaged_file_is_redone_and_only_it(hub: LoopbackHub, cache: Path, damage: str) -> None:
    """A blob that was damaged in the cache is fetched again; the other is not asked for."""
    first = take(cache)
    blob = (first.root / "model.safetensors").resolve()
    body = {"cut": WEIGHTS[:-7], "flip": WEIGHTS[:-1] + b"\xee", "delete": b""}[damage]
    blob.unlink()
    if damage != "delete":
        blob.write_bytes(body)
    hub.requests.clear()
    assert take(cache) == first
    assert (first.root / "model.safetensors").read_bytes() == WEIGHTS
    assert not hub.bodies("config.json")


def test_a_file_of_another_commit_is_not_fetched_twice(hub: LoopbackHub, cache: Path) -> None:
    """A blob that the cache has already is only entered into the new commit."""
    take(cache)
    hub.add(MODEL, {**FILES, "config.json": b'{"hidden_size": 5}\n'})
    hub.requests.clear()
    take(cache)
    assert not hub.bodies("model.safetensors")
    assert len(hub.bodies("config.json")) == 1


@pytest.mark.parametrize(
    ("ref", "said"),
    [("hf:org/none@main", "no such model|no org/none"), ("hf:org/tiny@v9", "no revision 'v9'")],
)
def test_what_the_hub_does_not_have_is_named(hub: LoopbackHub, cache: Path, ref: str, said: str) -> None:
    """A missing model and a missing revision are told apart."""
    import re

    assert re.search(said, failed(cache, ref))


def test_a_locked_model_asks_for_a_login(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """401 says how to log in; with the token the fetch succeeds, and the token is in no message."""
    hub.token = "hf_sesame"
    assert "hf auth login" in failed(cache)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "hf_wrong" not in failed(cache)
    monkeypatch.setenv("HF_TOKEN", "hf_sesame")
    assert take(cache).revision
    assert not any(r.authorized for r in hub.requests if r.path.startswith("/cdn/"))


def test_a_gated_model_asks_for_consent(hub: LoopbackHub, cache: Path) -> None:
    """A gated model says that its terms must be accepted."""
    hub.faults.gated = True
    assert "accept its terms" in failed(cache)


def test_a_forbidden_model_says_so(hub: LoopbackHub, cache: Path) -> None:
    """403 speaks of the token's rights."""
    hub.faults.status = [403]
    assert "may not read" in failed(cache)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_is_asked_again(hub: LoopbackHub, cache: Path, status: int) -> None:
    """Answers that time may mend are waited out."""
    hub.faults.status = [status, status]
    assert take(cache).revision


def test_another_commit_than_the_pinned_one_is_refused(hub: LoopbackHub, cache: Path) -> None:
    """A proxy that answers for another commit is found out."""
    hub.faults.wrong_commit = "f" * 40
    assert "another commit" in failed(cache)


def test_a_listing_that_contradicts_the_pins_moves_no_byte(hub: LoopbackHub, cache: Path) -> None:
    """Where the Hub itself lists another digest than the pinned one, nothing is downloaded."""
    pin = SnapshotFile("model.safetensors", len(WEIGHTS), "0" * 64)
    assert "0" * 64 in failed(cache, pinned={pin.path: pin})
    assert not hub.bodies()


def test_names_that_escape_are_refused(hub: LoopbackHub, cache: Path) -> None:
    """A hub that lists a path outside the model is not believed."""
    hub.add("org/evil", {"../../evil.json": b"{}", "config.json": b"{}"})
    assert "leaves its folder" in failed(cache, "hf:org/evil@main")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"lfs": {"oid": "../../../evil", "size": 5, "pointerSize": 1}}, "malformed size or digest"),
        ({"oid": "/etc/passwd"}, "malformed size or digest"),
        ({"size": -1}, "malformed size or digest"),
        ({"size": "1"}, "malformed size or digest"),
        ({"lfs": {"size": 5}}, "listing that cannot be read"),
        ({"path": 7}, "has no name"),
        ({"path": "a\\b"}, "backslash"),
    ],
)
def test_a_malformed_listing_is_refused(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, object], said: str
) -> None:
    """Names and digests of a listing become paths: none is believed that has not the right form."""
    honest = loopback._entry
    monkeypatch.setattr(loopback, "_entry", lambda path, blob: honest(path, blob) | entry)
    assert said in failed(cache)
    assert not hub.bodies()


@pytest.mark.parametrize("body", [b"<html>Log in to the hotel's network</html>", b"[1]", b'{"id": 1}', b"\xff"])
def test_an_answer_of_somebody_else_is_refused(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """What is not a Hub's answer, such as the page of a network's login, is one problem and no traceback."""
    monkeypatch.setattr(loopback._Handler, "_api", lambda self, *args: self._send(200, body, {}))
    assert "check HF_ENDPOINT" in failed(cache)
    assert "check HF_ENDPOINT" in failed(cache, f"hf:{MODEL}@{'a' * 40}")


def test_a_malformed_commit_is_refused(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that resolves to no commit id is refused."""
    monkeypatch.setattr(hub, "commit_of", lambda model, revision: "../../evil")
    monkeypatch.setattr(hub, "tree", lambda model, commit: {})
    assert "for a commit" in failed(cache)


def test_a_full_disk_is_told_before_the_download(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little space for what is to come is one problem with both numbers."""
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    assert "the disk is full" in failed(cache)
    assert not hub.bodies("model.safetensors")


def test_peek_reads_headers_by_range_only(hub: LoopbackHub, cache: Path) -> None:
    """A look at a model moves its small texts and the first bytes of its weights, and stores neither."""
    seen = peek(REF, cache=cache)
    assert dict(seen.files)["model.safetensors"] == len(WEIGHTS)
    assert seen.texts["text_encoder/config.json"] == '{"hidden_size": 8}\n'
    assert seen.texts["README.md"].startswith("---\nlicense: mit")
    assert seen.headers["model.safetensors"]["w"].shape == (1_200_000,)
    assert seen.headers["text_encoder/model.safetensors"]["v"].shape == (3_000,)
    assert sum(r.sent for r in hub.bodies("model.safetensors")) <= 2 * (64 << 10)
    assert not list((cache.parent / "hf").rglob("*.safetensors"))


def test_a_second_look_needs_no_network(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look has read of a commit is kept, so that the next works offline."""
    first = peek(REF, cache=cache)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert peek(REF, cache=cache) == first


def test_the_largest_files_are_left_to_the_client(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that the Hub gives through Xet only is the client's, and is digested all the same."""
    monkeypatch.setattr("portwright.sources.hub_client.HTTP_LIMIT", 1_000_000)
    hub.faults.corrupt["model.safetensors"] = 1
    assert "not the ones that the Hub lists" in failed(cache)
    assert (take(cache).root / "model.safetensors").read_bytes() == WEIGHTS


def test_a_client_without_xet_is_told_what_to_install(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the client cannot take a file by plain HTTP, the message names the package that can."""
    monkeypatch.setattr("huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE", 1_000_000)
    assert "pip install hf_xet" in failed(cache)


def test_peek_of_a_server_without_ranges_reads_no_further(hub: LoopbackHub, cache: Path) -> None:
    """Where ranges are ignored, the look still gives the header."""
    hub.faults.ignore_range = True
    assert peek(REF, cache=cache).headers["model.safetensors"]["w"].dtype == "F32"
