"""The Hub through its own client library: revisions, listings, byte ranges, and downloads that resume.

Files land in the client's own cache (HF_HOME), where other tools find them. The client starts an interrupted
file over, so large files come here through its `http_get` into a partial file that the next run continues; the
bytes are digested before they get their final name, which the client itself does not do.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ExitCode, PortError, Problem
from ..records import SourceRef
from .backend import Listed, Tick
from .digest import CHUNK, Digests, digest_file
from .hub_errors import retrying
from .names import name_problem

HTTP_LIMIT = 50_000_000_000  # bytes; the Hub gives larger files through Xet only
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)  # what the client raises for other JSON, or none
_TIMEOUT = 30.0  # seconds for one small request


class Hub:
    """One model on the Hub, seen through huggingface_hub."""

    def __init__(self, ref: SourceRef) -> None:
        import huggingface_hub
        from huggingface_hub.file_download import repo_folder_name

        huggingface_hub.utils.logging.set_verbosity_error()  # its warnings quote signed links
        # A cut loses the chunk under way, and the bar moves once a chunk: the client's 10 MiB is much on a slow line.
        huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = CHUNK
        self._ref = ref
        self._endpoint = os.environ.get("HF_ENDPOINT") or None
        self._cache = Path(huggingface_hub.constants.HF_HUB_CACHE).expanduser().resolve()  # as the client does
        self._api = huggingface_hub.HfApi(endpoint=self._endpoint, library_name="portwright")
        self.folder: Path = self._cache / repo_folder_name(repo_id=ref.name, repo_type="model")

    def root(self, commit: str) -> Path:
        """Name the folder where the client puts the files of a commit."""
        return self.folder / "snapshots" / commit

    def resolve(self, revision: str) -> str:
        """Give the commit that a branch or tag names at present."""

        def info() -> Any:
            return self._api.model_info(self._ref.name, revision=revision, timeout=_TIMEOUT)

        try:
            commit = str(retrying(info, self._ref).sha)
        except _UNREADABLE as error:
            raise self._odd(f"an answer that cannot be read ({type(error).__name__})") from None
        if not _COMMIT.fullmatch(commit):
            raise self._odd(f"{commit!r} for a commit")
        return commit

    def listing(self, commit: str) -> dict[str, Listed]:
        """List a commit's files with the digests that the Hub states; raises PortError for unsafe names."""

        def tree() -> list[Any]:
            return list(self._api.list_repo_tree(self._ref.name, recursive=True, revision=commit))

        try:
            files = [entry for entry in retrying(tree, self._ref) if hasattr(entry, "blob_id")]
            listing = [
                Listed(f.path, f.lfs.size, sha256=f.lfs.sha256) if f.lfs else Listed(f.path, f.size, git_sha1=f.blob_id)
                for f in files
            ]
        except _UNREADABLE as error:
            raise self._odd(f"a listing that cannot be read ({type(error).__name__})") from None
        bad = [problem for entry in listing if (problem := self._bad(entry))]
        if bad:
            raise PortError(bad, ExitCode.SOURCE)
        return {entry.path: entry for entry in listing}

    def _bad(self, entry: Listed) -> Problem | None:
        """Judge a listed file: its name and digests become paths in the cache."""
        why = name_problem(entry.path) if isinstance(entry.path, str) else "has no name"
        form, digest = (_COMMIT, entry.git_sha1) if entry.sha256 is None else (_SHA256, entry.sha256)
        if not why and (type(entry.size) is not int or entry.size < 0 or not form.fullmatch(str(digest))):
            why = "has a malformed size or digest"
        hint = "do not use this source, and tell the Hub's staff"
        return Problem(f"{self._ref.text}: {entry.path!r}", f"this file {why}", hint) if why else None

    def _odd(self, what: str) -> PortError:
        hint = "check HF_ENDPOINT and your proxy: this is not the answer of a Hub"
        return PortError(Problem(self._ref.text, f"the Hub gives {what}", hint), ExitCode.SOURCE)

    def read(self, commit: str, path: str, start: int, length: int) -> bytes:
        """Give a range of a file's bytes without storing it."""
        if length <= 0:
            return b""
        from huggingface_hub.utils import get_session, hf_raise_for_status

        def get() -> bytes:
            headers = self._headers() | {"Range": f"bytes={start}-{start + length - 1}"}
            with get_session().stream("GET", self._url(commit, path), headers=headers, timeout=_TIMEOUT) as response:
                hf_raise_for_status(response)
                skip = start if response.status_code == 200 else 0  # a server that ignores ranges
                got = bytearray()
                for chunk in response.iter_bytes():
                    got += chunk
                    if len(got) >= skip + length:
                        break
            return bytes(got[skip : skip + length])

        return retrying(get, self._ref, path)

    def download(self, commit: str, listed: Listed, tick: Tick) -> Digests:
        """Put one file into the client's cache, whole and with the digest that the Hub states; raises PortError."""
        from filelock import FileLock

        etag = listed.sha256 or listed.git_sha1
        assert etag is not None, "listing() gives every file a digest"
        # Beside the client's own locks: processes with another cache of ours may share this one.
        lock = self._cache / ".locks" / self.folder.name / f"{etag}.portwright.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            return self._download(commit, listed, etag, tick)

    def _download(self, commit: str, listed: Listed, etag: str, tick: Tick) -> Digests:
        blob = self.folder / "blobs" / etag
        partial = blob.with_name(f"{etag}.portwright.incomplete")
        blob.parent.mkdir(parents=True, exist_ok=True)
        if blob.is_file() and blob.stat().st_size == listed.size:  # another commit has the same file
            found = digest_file(blob, listed.path, git=listed.git_sha1 is not None, tick=tick)
            if _stated(found, listed):
                self._link(commit, listed.path)
                return found
            tick(-found.size)
        if listed.size > HTTP_LIMIT:
            return self._by_client(commit, listed, tick)
        resumed = partial.exists()
        found = self._digested(commit, listed, partial, tick)
        if not _stated(found, listed) and resumed:  # what an earlier run left may be to blame
            tick(-found.size)
            partial.unlink()
            found = self._digested(commit, listed, partial, tick)
        if not _stated(found, listed):
            partial.unlink()
            raise self._wrong(listed, found)
        partial.replace(blob)
        self._link(commit, listed.path)
        return found

    def _by_client(self, commit: str, listed: Listed, tick: Tick) -> Digests:
        """Leave a file that the Hub does not give by plain HTTP to the client, and digest what it made."""
        self._link(commit, listed.path)
        link = self.root(commit) / listed.path
        found = digest_file(link, listed.path, git=listed.git_sha1 is not None, tick=tick)
        if not _stated(found, listed):
            link.resolve().unlink()
            link.unlink(missing_ok=True)
            raise self._wrong(listed, found)
        return found

    def _wrong(self, listed: Listed, found: Digests) -> PortError:
        stated = listed.sha256 or f"git {listed.git_sha1}"
        text = f"the bytes that came are not the ones that the Hub lists: listed {stated}, found {found.sha256}"
        hint = "run it again; if it stays, check your proxy and HF_ENDPOINT, and tell the model's owner"
        return PortError(Problem(f"{self._ref.text}: {listed.path}", text, hint), ExitCode.SOURCE)

    def _digested(self, commit: str, listed: Listed, partial: Path, tick: Tick) -> Digests:
        retrying(lambda: self._continue(commit, listed, partial, tick), self._ref, listed.path)
        return digest_file(partial, listed.path, git=listed.git_sha1 is not None)

    def _continue(self, commit: str, listed: Listed, partial: Path, tick: Tick) -> None:
        from huggingface_hub.file_download import http_get

        with partial.open("ab") as stream:
            have = stream.tell()
            if have > listed.size:  # not of this file
                have = stream.truncate(0)
            free = shutil.disk_usage(partial.parent).free
            if free < listed.size - have:
                text = f"the disk is full: {listed.size - have:,} bytes are to come, {free:,} are free"
                raise PortError(Problem(str(partial.parent), text, "free some space, or move HF_HOME"), ExitCode.SOURCE)
            bar = _bar_class(tick)
            if have == listed.size:
                tick(have)
                return
            http_get(
                self._url(commit, listed.path),
                stream,
                resume_size=have,
                headers=self._headers(),
                expected_size=listed.size,
                tqdm_class=bar,
            )
            stream.flush()
            os.fsync(stream.fileno())

    def _link(self, commit: str, path: str) -> None:
        """Let the client enter the blob into its snapshot folder, in whatever way its release does that."""
        link = self.root(commit) / path
        if link.is_symlink() or link.exists():
            link.unlink()  # damaged, or it pointed at a blob that was
        placed = retrying(
            lambda: self._api.hf_hub_download(self._ref.name, path, revision=commit, cache_dir=self._cache),
            self._ref,
            path,
        )
        if Path(placed) != link:
            text = "the Hub answered for another commit than the pinned one"
            raise PortError(Problem(f"{self._ref.text}: {path}", text, "check HF_ENDPOINT"), ExitCode.SOURCE)

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils import build_hf_headers

        headers: Mapping[str, str] = build_hf_headers(library_name="portwright")
        return {**headers, "Accept-Encoding": "identity"}  # sizes and ranges are of the plain bytes

    def _url(self, commit: str, path: str) -> str:
        from huggingface_hub import hf_hub_url

        return str(hf_hub_url(self._ref.name, path, revision=commit, endpoint=self._endpoint))


def _stated(found: Digests, listed: Listed) -> bool:
    if listed.sha256 is not None:
        return (found.size, found.sha256) == (listed.size, listed.sha256)
    return (found.size, found.git_sha1) == (listed.size, listed.git_sha1)


def _bar_class(tick: Tick) -> type:
    """Make what the client takes for a progress bar, and let it feed ours."""

    class Bar:
        def __init__(self, *args: Any, initial: int = 0, **kwargs: Any) -> None:
            if initial:
                tick(initial)

        def update(self, n: float | None = 1) -> None:
            tick(int(n or 0))

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *args: object) -> None:
            return None

        def close(self) -> None:
            return None

        def refresh(self, *args: Any, **kwargs: Any) -> None:
            return None

    return Bar
