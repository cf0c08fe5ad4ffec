"""Count bytes and tell the parent about it, not more than ten times a second."""

from __future__ import annotations

import time

from ..workers import Emit

_INTERVAL = 0.1  # seconds


class Tally:
    """Bytes done of a total, reported as progress events."""

    def __init__(self, emit: Emit, total: int) -> None:
        self.what = ""
        self._emit = emit
        self._total = total
        self._done = 0
        self._next = 0.0

    def add(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            self._report()

    def end(self) -> None:
        """Report that all is done."""
        self._done = self._total
        if self._total:
            self._report()

    def _report(self) -> None:
        self._emit.progress(min(self._done, self._total), self._total, "B", self.what)
