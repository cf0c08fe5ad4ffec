"""Write small files so that a reader sees the old content or the new one, never a half."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def publish_text(path: Path, text: str) -> bool:
    """Write `text` (UTF-8, LF) at `path` by rename; an equal file is left alone. Returns whether it was written."""
    content = text.encode("utf-8")
    with suppress(OSError):
        if path.read_bytes() == content:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with fresh.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink()
    return True
