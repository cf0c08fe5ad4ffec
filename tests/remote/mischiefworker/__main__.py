"""The worker: runs `everything` of the code that came with the job."""

from __future__ import annotations

import importlib
from typing import Any

from portwright.workers import Emit, worker_main


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Give what the code found."""
    return {"found": importlib.import_module("remote_code.mischief").everything(job)}


if __name__ == "__main__":
    worker_main(run)
