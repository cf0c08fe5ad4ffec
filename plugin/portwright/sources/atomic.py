"""Put a large file in place whole: a temp file on the same disk, flushed, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(file: Path, temp_dir: Path) -> Iterator[BinaryIO]:
    """Open a temp file for writing that becomes `file` when the block ends well, and vanishes when it does not.

    `temp_dir` must be on the same file system; whoever owns it sweeps up what a killed process leaves there.
    """
    temp_dir.mkdir(parents=True, exist_ok=True)
    temp = temp_dir / f"{file.name[:80]}.{secrets.token_hex(6)}.part"
    try:
        with temp.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        file.parent.mkdir(parents=True, exist_ok=True)
        temp.replace(file)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
