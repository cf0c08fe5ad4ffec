"""Keep the memory of mapped files bounded: what was read through them is given back now and then."""

from __future__ import annotations

from collections.abc import Iterable

from ..tensorfile import TensorFile

_MOST = 64 << 20  # bytes of mapped pages that may stay in memory


class Pages:
    """Hears of bytes that came through the mapped pages of `files`, and releases them after a while."""

    def __init__(self, files: Iterable[TensorFile]) -> None:
        self._files = list({id(file): file for file in files}.values())
        self._held = 0

    def add(self, count: int) -> None:
        self._held += count
        if self._held > _MOST:
            self.release()

    def release(self) -> None:
        self._held = 0
        for file in self._files:
            file.release()
