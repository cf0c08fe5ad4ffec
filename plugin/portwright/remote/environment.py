"""What a process that runs a source's code may know of this machine's environment: a short list of names."""

from __future__ import annotations

import os
import site
from collections.abc import Mapping
from pathlib import Path

# Nothing else passes: whatever holds a token today or tomorrow has another name.
KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_OURS = ("PORTWRIGHT_MEMORY_LIMIT",)


def scrubbed(outer: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment of an isolated process whose home and temporary folder are `home`."""
    kept = {name: outer[name] for name in (*KEPT, *_OURS) if name in outer}
    if outer.get("PYTHONPATH"):  # where this package itself may lie; the process has another current folder
        kept["PYTHONPATH"] = os.pathsep.join(
            str(Path(p).absolute()) for p in outer["PYTHONPATH"].split(os.pathsep) if p
        )
    if site.ENABLE_USER_SITE:
        kept["PYTHONUSERBASE"] = site.getuserbase()  # packages that pip installed for the user alone
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CACHE_HOME": str(home),
        "HF_HOME": str(home / "huggingface"),
        "TORCH_HOME": str(home / "torch"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
