"""Take a snapshot of an opened source: place what is missing or damaged, digest it, hold it against the pins."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ..errors import ExitCode, PortError, Problem
from ..gguf import header as gguf_header
from ..records import Snapshot, SnapshotFile, SourceRef, TensorInfo
from ..tensorfile import header_length, parse_header
from ..weightfile import GGUF, SUFFIXES, read_tensors
from .backend import Backend, Listed, OpenSource, Peek, Say, Site
from .digest import Digests, digest_file
from .patterns import select
from .pins import compare, refuse_early
from .sidecar import Sidecar, inside, is_same

_T = TypeVar("_T")
_THREADS = min(8, (os.cpu_count() or 1) + 2)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
TEXT_LIMIT = 256 << 10  # bytes of a small text; a tokenizer's vocabulary is not one
_FIRST = 64 << 10  # bytes: most safetensors headers are shorter, so that one read is enough
_GGUF_FIRST = 4 << 20  # bytes: a vocabulary stands in it
INDEX_LIMIT = 32 << 20  # a shard index lists every key


def take(backend: Backend, ref: SourceRef, wanted: tuple[str, ...], site: Site, *, check: bool = False) -> Snapshot:
    """Make the wanted files present and give their digests; raises PortError with every problem found."""
    with _told(ref, site), _locked(backend.home(ref, site)), backend.open(ref, site) as source:
        sidecar = Sidecar(source.record)
        paths = select(source.listing, wanted)
        if not paths:
            raise PortError(_nothing_matches(ref, source, wanted), ExitCode.SOURCE)
        refuse_early(ref, [source.listing[path] for path in paths], site.pinned, wanted)
        digests = _digests(ref, source, sidecar, paths, site.say, check)
        revision = source.revision or _content_revision(paths, digests)
        files = tuple(
            SnapshotFile(path, digests[path].size, digests[path].sha256, digests[path].header_sha256, revision)
            for path in paths
        )
        compare(ref, files, site.pinned)
        return Snapshot(ref, revision, source.root, files)


def peek_source(backend: Backend, ref: SourceRef, site: Site) -> Peek:
    """Read the listing, the small texts and the safetensors headers; raises PortError with every problem found."""
    with _told(ref, site), _locked(backend.home(ref, site)), backend.open(ref, site) as source:
        listing = source.listing
        texts = [path for path, entry in listing.items() if _is_small_text(path, entry.size)]
        weights = [path for path in listing if path.endswith(SUFFIXES)]

        def text(path: str) -> str:
            return source.read(path, 0, listing[path].size).decode("utf-8", "replace")

        architectures: dict[str, str] = {}

        def header(path: str) -> dict[str, TensorInfo]:
            size = listing[path].size
            if path.endswith(GGUF):
                found = _gguf_header(source, path, size)
                architectures[path] = str(found.metadata.get("general.architecture", ""))
                return dict(found.tensors)
            first = source.read(path, 0, min(size, _FIRST))
            length = header_length(first, size, path)
            raw = first[8 : 8 + length]
            if len(raw) < length:
                raw += source.read(path, 8 + len(raw), length - len(raw))
            return dict(parse_header(raw, size, path).tensors)

        files = tuple(sorted((path, entry.size) for path, entry in listing.items()))
        return Peek(ref, source.revision, files, _each(text, texts), _each(header, weights), architectures)


def _gguf_header(source: OpenSource, path: str, size: int) -> gguf_header.GgufHeader:
    """Read a GGUF header, whose length no field states: the front of the file, doubled until the header fits."""
    length = min(size, _GGUF_FIRST)
    while True:
        try:
            return gguf_header.parse_header(source.read(path, 0, length), size, path)
        except gguf_header.Truncated:
            if length >= min(size, gguf_header.MAX_HEADER):
                raise PortError(Problem(path, "it ends inside its header", ""), ExitCode.SOURCE) from None
            length = min(size, 2 * length)


def _digests(
    ref: SourceRef, source: OpenSource, sidecar: Sidecar, paths: list[str], say: Say, check: bool
) -> dict[str, Digests]:
    files = {path: inside(source.root, path) for path in paths}
    known = {} if check else {path: found for path in paths if (found := sidecar.fresh(path, files[path]))}
    known = {path: found for path, found in known.items() if is_same(found, source.listing[path])}
    work = [path for path in paths if path not in known]
    bar = _Bar(say, sum(source.listing[path].size for path in work), ref.text)

    def settle(path: str) -> Digests:
        listed, file = source.listing[path], files[path]
        found = _present(path, file, listed, bar)
        if found is None:
            found = source.place(path, bar.tick)
        if path.endswith(SUFFIXES):
            read_tensors(file, path)  # a cut or hostile file is refused here, before any stage reads it
        sidecar.set_stamp(path, file, found)
        return found

    done = _each(settle, work)
    if work:
        bar.end()
    return known | done


def _present(path: str, file: Path, listed: Listed, bar: _Bar) -> Digests | None:
    """Digest a file that is already there and give what was found, if it is the one that the source lists."""
    if listed.sha256 is None and listed.git_sha1 is None:
        return None  # the source states nothing to hold it against
    if not file.is_file() or file.stat().st_size != listed.size:
        return None
    found = digest_file(file, path, git=listed.git_sha1 is not None, tick=bar.tick)
    if is_same(found, listed):
        return found
    bar.tick(-found.size)
    return None


def _each(action: Callable[[str], _T], paths: list[str]) -> dict[str, _T]:
    """Do something for each path in parallel; raises one PortError with the problems of all."""
    results: dict[str, _T] = {}
    problems: list[Problem] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = {path: pool.submit(action, path) for path in paths}
        for path, future in futures.items():
            try:
                results[path] = future.result()
            except PortError as error:
                problems += error.problems
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    if problems:
        raise PortError(problems, ExitCode.SOURCE)
    return results


class _Bar:
    """Adds up what the threads have moved, and says so a few hundred times at most."""

    def __init__(self, say: Say, total: int, what: str) -> None:
        self._say, self._total, self._what = say, total, what
        self._done = self._said = 0
        self._step = max(1 << 20, total // 200)  # bytes between two reports
        self._lock = threading.Lock()

    def tick(self, moved: int) -> None:
        with self._lock:
            self._done += moved
            if abs(self._done - self._said) >= self._step:
                self._said = self._done
                self._say(min(max(self._done, 0), self._total), self._total, self._what)

    def end(self) -> None:
        self._say(self._total, self._total, self._what)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Let one process at a time work on a source; the lock goes with the process that holds it."""
    from filelock import FileLock

    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        yield


@contextmanager
def _told(ref: SourceRef, site: Site) -> Iterator[None]:
    """Say what the disk or the installation lacks, instead of a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("filelock", "huggingface_hub"):
            raise
        problem, hint = f"the package {error.name} is not installed", "pip install 'portwright[build]'"
        raise PortError(Problem(ref.text, problem, hint), ExitCode.SOURCE) from None
    except OSError as error:
        if error.errno is None:
            raise
        where = str(error.filename or ref.text)
        if error.errno in _FULL:
            free = shutil.disk_usage(site.cache).free
            problem = f"the disk is full: {error.strerror} ({free:,} bytes are free)"
            hint = f"free some space, or set PORTWRIGHT_CACHE to a folder on another disk (now {site.cache})"
        else:
            problem, hint = f"cannot read or write it: {error.strerror}", "check the folder's permissions and disk"
        raise PortError(Problem(where, problem, hint), ExitCode.SOURCE) from None


def _content_revision(paths: list[str], digests: Mapping[str, Digests]) -> str:
    lines = "".join(f"{digests[path].sha256} {digests[path].size} {path}\n" for path in paths)
    return "sha256-" + hashlib.sha256(lines.encode()).hexdigest()


def _nothing_matches(ref: SourceRef, source: OpenSource, wanted: tuple[str, ...]) -> Problem:
    folders = sorted({path.rpartition("/")[0] or "." for path in source.listing})
    shown = ", ".join(folders[:8]) + (f" and {len(folders) - 8} more" if len(folders) > 8 else "")
    problem = f"none of its {len(source.listing)} files matches {', '.join(wanted) or 'an empty list of patterns'}"
    return Problem(ref.text, problem, f"its folders are: {shown}; correct the component's path in port.toml")


def _is_small_text(path: str, size: int) -> bool:
    name = path.rpartition("/")[2]
    if name.endswith(".safetensors.index.json"):
        return size <= INDEX_LIMIT
    named = name.endswith(".json") or name in ("README.md", "METADATA") or name.upper().startswith("LICENSE")
    return named and size <= TEXT_LIMIT
