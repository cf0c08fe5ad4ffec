"""A worker that does nothing for a while; it leaves its process id in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from portwright.workers import Emit, worker_main


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    Path(job["pid"]).write_text(str(os.getpid()))
    emit.log("sleeping")
    time.sleep(job["seconds"])
    return {}


if __name__ == "__main__":
    worker_main(run)
