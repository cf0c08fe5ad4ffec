"""`file:path`: a folder, or a single .safetensors file, used where it lies; nothing is copied.

The path is absolute, or relative to the folder of the port.toml. Such a source has no revision of its own, so the
snapshot's revision is a digest over path, size and sha256 of every wanted file: it changes with their bytes only.
A link that leads out of the folder is refused, since what it points to could change unseen.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..errors import ExitCode, PortError, Problem
from ..records import SourceRef
from .backend import Listed, Site, Tick
from .digest import Digests, digest_file


def parse(rest: str, text: str) -> SourceRef:
    """Read `path` of `file:path`."""
    problems = []
    path = "/" + rest.lstrip("/") if rest.startswith("///") else rest
    if not path or "\0" in path:
        problems.append(Problem(text, "it names no file or folder", "write `file:weights`, or an absolute path"))
    elif path.startswith("//"):
        problems.append(Problem(text, "a file: source cannot be on another host", "write `file:/absolute/path`"))
    if ".." in PurePosixPath(path).parts:
        hint = "move the files beside the port.toml, or give an absolute path"
        problems.append(Problem(text, "`..` leads out of the folder of the port.toml", hint))
    if path.startswith("~"):
        problems.append(Problem(text, "`~` differs from user to user and is not expanded", "give an absolute path"))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return SourceRef("file", str(PurePosixPath(path)), "", text)


def home(ref: SourceRef, site: Site) -> Path:
    """Name the folder that remembers a source: one for each absolute path."""
    key = hashlib.sha256(str(_absolute(ref, site)).encode()).hexdigest()[:24]
    return site.cache / "snapshots" / "file" / key


@contextmanager
def open(ref: SourceRef, site: Site) -> Iterator[_Folder]:
    """List the folder; raises PortError for links that leave it and for what is not there."""
    path, record = _absolute(ref, site), home(ref, site) / "files.json"
    if path.is_file():
        if path.suffix != ".safetensors":
            hint = "give the folder that holds the weights, or convert them to safetensors first"
            raise PortError(Problem(ref.text, "a single file must be a .safetensors file", hint), ExitCode.SOURCE)
        yield _Folder(record, path.parent, {path.name: Listed(path.name, path.stat().st_size)})
        return
    if not path.is_dir():
        hint = "relative paths start from the folder of the port.toml"
        raise PortError(Problem(ref.text, f"there is no file or folder {path}", hint), ExitCode.SOURCE)
    root = path.resolve()
    problems: list[Problem] = []
    listing = {entry.path: entry for entry in _walk(root, root, "", (root,), problems)}
    if problems:
        raise PortError(problems, ExitCode.SOURCE)
    yield _Folder(record, root, listing)


@dataclass(frozen=True)
class _Folder:
    record: Path
    root: Path
    listing: Mapping[str, Listed]
    revision: str = field(default="")

    def read(self, path: str, start: int, length: int) -> bytes:
        with (self.root / path).open("rb") as stream:
            stream.seek(start)
            return stream.read(length)

    def place(self, path: str, tick: Tick) -> Digests:
        return digest_file(self.root / path, path, tick=tick)


def _absolute(ref: SourceRef, site: Site) -> Path:
    return (site.base / ref.name).absolute()


def _walk(root: Path, folder: Path, prefix: str, above: tuple[Path, ...], problems: list[Problem]) -> Iterator[Listed]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = prefix + entry.name
        real = Path(os.path.realpath(entry.path))
        if entry.is_symlink() and not real.is_relative_to(root):
            hint = "copy the file into the folder (`cp -L`), or name the folder that really holds it"
            problems.append(Problem(path, f"this link leads out of {root}, to {real}", hint))
            continue
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            problems.append(Problem(path, f"cannot be read: {error.strerror}", "mend or remove it"))
            continue
        if stat.S_ISDIR(mode):
            # Folders such as .git and .cache hold no part of a model; a link to a folder above never ends.
            if not entry.name.startswith(".") and real not in above:
                yield from _walk(root, Path(entry.path), path + "/", (*above, real), problems)
        elif stat.S_ISREG(mode):
            yield Listed(path, entry.stat().st_size)
