"""Run a worker that imports a source's code, isolated: `python -m portwright.remote MODULE JOB.json`.

The job is the worker's own, with "remote_code": {"folder": where the files lie, "files": {name: sha256},
"writable": [folders], "readable": [files and folders below the home], "home": folder}.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from portwright.remote import guard, kernel
from portwright.remote.code import place
from portwright.workers import Emit, worker_main


def main(arguments: list[str]) -> None:
    """Give up what can be given up, then be the worker."""
    module, job_file = arguments
    told = json.loads(Path(job_file).read_text(encoding="utf-8"))["remote_code"]
    own = Path(job_file).parent
    writable = [own, *map(Path, told["writable"])]
    readable = [*map(Path, told["readable"]), *installation()]
    network = kernel.no_network()  # before the first thread, and before files are closed: it writes below /proc
    files = kernel.no_files(writable, readable, Path(told["home"]) if told["home"] else None)
    sys.argv = [module, job_file]
    worker_main(functools.partial(run, module, own / "code", writable, describe(network, files)))


def run(module: str, code: Path, writable: list[Path], held: str, job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Verify and place the code, refuse what Python can refuse, and do the worker's job."""
    told = job["remote_code"]
    place(Path(told["folder"]), told["files"], code)
    sys.path.insert(0, str(code))
    guard.install([str(folder) for folder in writable])
    emit.log(held)
    found: dict[str, Any] = importlib.import_module(f"{module}.__main__").run(job, emit)
    return found


def installation() -> list[Path]:
    """Return where Python and its packages lie, which may be below the home folder."""
    ours = str(Path(kernel.__file__).parents[1])  # an editable installation is found by a hook, not by sys.path
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    found = dict.fromkeys([*sys.path, sys.prefix, sys.base_prefix, ours, *libraries])
    return [Path(path).resolve() for path in found if path]


def describe(network: bool, files: bool) -> str:
    """Say in a sentence what holds."""
    by_kernel = [name for name, held in (("the network", network), ("files and programs", files)) if held]
    said = f"the kernel closes {' and '.join(by_kernel)}" if by_kernel else "this system's kernel closes nothing to it"
    return f"the source's own code runs isolated: {said}; Python refuses sockets, programs and writing elsewhere"


if __name__ == "__main__":
    main(sys.argv[1:])
