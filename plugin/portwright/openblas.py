"""Find an OpenBLAS to preload into MLX processes on Linux, where MLX's own CPU build has only the reference BLAS."""

from __future__ import annotations

import ctypes.util
import os
import platform
import sys
from functools import cache
from pathlib import Path

# Debian, Ubuntu; Fedora; Arch and others. The pthread build is preferred: OpenMP ones clash with torch's runtime.
_PATTERNS = (
    "/usr/lib/{triplet}/openblas-pthread/libopenblas.so.0",
    "/usr/lib64/libopenblasp.so.0",
    "/usr/lib64/libopenblas.so.0",
    "/usr/lib/libopenblas.so.0",
    "/usr/lib/{triplet}/libopenblas.so.0",
)


@cache
def find_openblas() -> str | None:
    """Return the path of a shared OpenBLAS, or None (macOS, or none installed); `PORTWRIGHT_OPENBLAS` overrides."""
    override = os.environ.get("PORTWRIGHT_OPENBLAS")
    if override is not None:
        return override if override and Path(override).is_file() else None
    if sys.platform != "linux":
        return None
    triplet = f"{platform.machine()}-linux-gnu"
    for pattern in _PATTERNS:
        path = Path(pattern.format(triplet=triplet))
        if path.is_file():
            return str(path)
    return ctypes.util.find_library("openblas")


def preload(env: dict[str, str]) -> dict[str, str]:
    """Return `env` with the OpenBLAS put first in `LD_PRELOAD`, where one was found."""
    library = find_openblas()
    if library is None:
        return env
    present = env.get("LD_PRELOAD", "")
    if library in present.split(":"):
        return env
    return {**env, "LD_PRELOAD": f"{library}:{present}" if present else library}
