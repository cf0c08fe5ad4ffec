"""One writer per port: a second `doit port` waits for the first, and then finds the work done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_HELD: dict[Path, object] = {}  # kept open until this process ends
_GUARD = threading.Lock()


@contextmanager
def one_writer(base: Path, say: Callable[[str], object]) -> Iterator[bool]:
    """Hold the port's lock until this process ends; yields whether another process had it first.

    The lock is the operating system's, on an open file: it goes with the process, however that ends. Threads of this
    process (`doit -n`) share it.
    """
    from filelock import FileLock, Timeout

    folder = base.resolve() / ".portwright"
    with _GUARD:
        if folder in _HELD:
            waited = False
        else:
            folder.mkdir(exist_ok=True)
            lock = FileLock(folder / "writer.lock")
            try:
                lock.acquire(timeout=0)
                waited = False
            except Timeout:
                say("another process is building this port: waiting for it")
                lock.acquire()
                waited = True
            _HELD[folder] = lock
    yield waited
