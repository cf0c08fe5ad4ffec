"""Read files as git holds them: the index that is about to be committed, a commit that is pushed, or the working tree.

The git binary is used with the inherited environment, since a partial commit (`git commit FILE`) names its own index in
GIT_INDEX_FILE. Nothing is checked out, no filter runs, and no link is followed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from ..canonical import PREFIX, sha256_file
from ..errors import ExitCode, PortError, Problem

_MODES = {"120000": "a symbolic link", "160000": "a submodule", "040000": "a folder"}
_CHUNK = 1 << 20
FILE = "file"


class Tree(Protocol):
    """Files by their path from the repository's top, with "/" between folders."""

    label: str

    def kinds(self) -> Mapping[str, str]:
        """Give the kind of each entry: FILE, "a symbolic link" or "a submodule"."""

    def read(self, path: str, limit: int) -> bytes:
        """Give a file's bytes; raises PortError if it is longer than `limit` bytes."""

    def sha256(self, path: str) -> str:
        """Digest a file's bytes, however long it is, as "sha256:…"."""

    def before(self, path: str, limit: int) -> bytes | None:
        """Give the bytes that the file had one commit before, None where there were none."""


class GitTree:
    """The files of an index or a commit, by the blob of each; use it inside `open_index` or `open_commit`."""

    def __init__(
        self, root: Path, commit: str | None, blobs: Mapping[str, tuple[str, str]], pipe: subprocess.Popen[bytes]
    ) -> None:
        self.root = root
        self.committed = commit is not None
        self._parent = f"{commit}^" if commit else "HEAD"
        self.label = f"commit {commit[:10]}" if commit else "the index"
        self._blobs = blobs
        self._kinds = {path: _MODES.get(mode, FILE) for path, (mode, _) in blobs.items()}
        self._pipe = pipe

    def kinds(self) -> Mapping[str, str]:
        return self._kinds

    def read(self, path: str, limit: int) -> bytes:
        return self._read(self._blobs[path][1], path, limit)

    def _read(self, name: str, path: str, limit: int) -> bytes:
        with self._open(name, path) as (stream, size):
            if size > limit:
                _skip(stream, size)
                raise PortError(_too_long(path, size, limit))
            return stream.read(size)

    def before(self, path: str, limit: int) -> bytes | None:
        if "\n" in path:  # the protocol of cat-file has no quotes
            return None
        try:
            return self._read(f"{self._parent}:{path}", path, limit)
        except PortError:
            return None

    def sha256(self, path: str) -> str:
        hasher = hashlib.sha256()
        with self._open(self._blobs[path][1], path) as (stream, size):
            while size:
                chunk = stream.read(min(size, _CHUNK))
                if not chunk:
                    raise PortError(Problem(path, "git ended while its blob was read"))
                hasher.update(chunk)
                size -= len(chunk)
        return PREFIX + hasher.hexdigest()

    @contextmanager
    def _open(self, name: str, path: str) -> Iterator[tuple[IO[bytes], int]]:
        """Ask the running `git cat-file --batch` for a blob; the body must be read to its end."""
        out, into = self._pipe.stdout, self._pipe.stdin
        assert out is not None
        assert into is not None
        try:
            into.write(f"{name}\n".encode("utf-8", "surrogateescape"))
            into.flush()
            answer = out.readline().split()
        except OSError:
            answer = []
        if len(answer) != 3 or answer[1] != b"blob":
            raise PortError(Problem(path, f"git cannot read its blob {name[:12]}", "git fsck"))
        try:
            yield out, int(answer[2])
        finally:
            out.readline()


class WorkTree:
    """The files on disk; the gate asks it only to tell `git add` from `doit port`."""

    label = "the working tree"

    def __init__(self, root: Path, tracked: Mapping[str, str]) -> None:
        self.root = root
        self._tracked = tracked

    def kinds(self) -> Mapping[str, str]:
        return _DiskKinds(self.root, self._tracked)

    def read(self, path: str, limit: int) -> bytes:
        try:
            size = (self.root / path).stat().st_size
            if size > limit:
                raise PortError(_too_long(path, size, limit))
            return (self.root / path).read_bytes()
        except OSError as error:
            raise PortError(Problem(path, str(error.strerror))) from None

    def sha256(self, path: str) -> str:
        try:
            return sha256_file(self.root / path)
        except OSError as error:
            raise PortError(Problem(path, str(error.strerror))) from None

    def before(self, path: str, limit: int) -> bytes | None:
        return None


class _DiskKinds(Mapping[str, str]):
    """Looks a path up on disk when asked; only the tracked paths are listed."""

    def __init__(self, root: Path, tracked: Mapping[str, str]) -> None:
        self._root, self._tracked = root, tracked

    def __getitem__(self, path: str) -> str:
        full = self._root / path
        if full.is_symlink():
            return _MODES["120000"]
        if full.is_file():
            return FILE
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return (path for path in self._tracked if path in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def top_folder(start: Path) -> Path:
    """Give the top folder of the git repository that `start` lies in; raises PortError outside of one."""
    return Path(_git(start, "rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape").rstrip("\n"))


def is_ignored(root: Path, path: str) -> bool:
    """Tell whether `git add` would refuse an untracked file."""
    command = ["git", "-C", str(root), "check-ignore", "--quiet", "--", path]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def whole_index(root: Path) -> str | None:
    """Give the repository's own index file where `git commit FILE` uses another one, else None."""
    if not Path(os.environ.get("GIT_INDEX_FILE", "")).name.startswith("next-index-"):  # `commit -a`: index.lock
        return None
    folder = Path(_git(root, "rev-parse", "--absolute-git-dir").decode("utf-8", "surrogateescape").rstrip("\n"))
    return str(folder / "index")


def resolve_commit(root: Path, revision: str) -> str:
    """Give the full id of the commit that a revision names; raises PortError if there is none."""
    return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()


@contextmanager
def open_index(root: Path, index: str | None = None) -> Iterator[GitTree]:
    """Read the index that git names, the one that is about to be committed, or the index file `index`."""
    blobs, conflicts = {}, []
    for record in _records(_git(root, "ls-files", "--stage", "-z", index=index)):
        head, path = record
        mode, blob, stage = head.split()
        if stage == "0":
            blobs[path] = (mode, blob)
        else:
            conflicts.append(path)
    if conflicts:
        hint = "resolve them, then git add"
        raise PortError([Problem(path, "the merge left a conflict here", hint) for path in dict.fromkeys(conflicts)])
    with _cat_file(root) as pipe:
        yield GitTree(root, None, blobs, pipe)


@contextmanager
def open_commit(root: Path, commit: str) -> Iterator[GitTree]:
    """Read the files of a commit, given by its full id."""
    blobs = {}
    for head, path in _records(_git(root, "ls-tree", "-r", "-z", "--full-tree", commit)):
        mode, _, blob = head.split()
        blobs[path] = (mode, blob)
    with _cat_file(root) as pipe:
        yield GitTree(root, commit, blobs, pipe)


@contextmanager
def _cat_file(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = ["git", "-C", str(root), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as pipe:
        try:
            yield pipe
        finally:
            with suppress(OSError):
                pipe.stdin.close()  # type: ignore[union-attr]  # PIPE was asked for
            pipe.stdout.close()  # type: ignore[union-attr]  # PIPE was asked for


def _git(folder: Path, *arguments: str, index: str | None = None) -> bytes:
    environ = {**os.environ, "GIT_INDEX_FILE": index} if index else None
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False, env=environ)
    except FileNotFoundError:
        raise PortError(Problem("git", "the git program is not on PATH", "install git"), ExitCode.USAGE) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or f"it ended with status {done.returncode}"
        raise PortError(Problem(f"git {' '.join(arguments)}", said), ExitCode.USAGE)
    return done.stdout


def _records(output: bytes) -> Iterator[tuple[str, str]]:
    for record in output.split(b"\0"):
        if record:
            head, _, name = record.partition(b"\t")
            path = name.decode("utf-8", "surrogateescape")
            if {"", ".", ".."} & set(path.split("/")):  # git would not check it out; a crafted tree may still hold it
                raise PortError(Problem(path, "this path leaves its folder", "git fsck"))
            yield head.decode("ascii"), path


def _skip(stream: IO[bytes], size: int) -> None:
    while size > 0:
        size -= len(stream.read(min(size, _CHUNK))) or size


def _too_long(path: str, size: int, limit: int) -> Problem:
    return Problem(path, f"it is {size:,} bytes long, and the gate reads at most {limit:,}")
