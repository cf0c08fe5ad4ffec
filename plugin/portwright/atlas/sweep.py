"""Sweep the libraries: one `portwright try` process for each model, some at a time, each result kept as it comes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import warm
from ..workers import run_worker
from .results import Record, append, read, record_of

GRACE = 60.0  # seconds beyond a try's own limit before its process is ended from outside
WARM = (
    "torch",
    "numpy",
    "safetensors.torch",
    "transformers:LlamaModel",
    "transformers:ViTModel",
    "transformers:T5Model",
)
WARM_ALSO = ("diffusers:UNet2DConditionModel", "diffusers:AutoencoderKL")
OnRecord = Callable[[Record, int, int], None]


@dataclass(frozen=True)
class Plan:
    """What to sweep and within which limits."""

    libraries: Sequence[str]
    names: Sequence[str] = ()
    sample: int | None = None
    seed: int = 0
    jobs: int = 1
    time_limit: float = 180.0
    memory_limit: float = 8.0  # GiB
    again: Sequence[str] = ()  # statuses that are tried again


def sweep(plan: Plan, results: Path, on_record: OnRecord, command: str) -> int:
    """Try what is not in `results` yet; returns how many were tried. An interrupt keeps what is done, and is raised."""
    done, _ = read(results)
    libraries = list(plan.libraries)
    with warm.serving([*WARM, *(WARM_ALSO if "diffusers" in libraries else ())]):
        listed = run_worker("portwright.atlas.listing", {"libraries": libraries})
        todo = chosen(listed["models"], plan)
        todo = [
            m for m in todo if (found := done.get((m["library"], m["name"]))) is None or found["status"] in plan.again
        ]
        start = time.time()
        running = Running()
        finished = 0
        with ThreadPoolExecutor(plan.jobs) as pool:
            waiting: set[Future[Record]] = {pool.submit(running.one, model, plan) for model in todo}
            try:
                while waiting:
                    ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in ended:
                        record = {**future.result(), "versions": listed["versions"]}
                        append(results, record)
                        finished += 1
                        on_record(record, finished, len(todo))
            finally:
                for future in waiting:
                    future.cancel()
                running.stop()
                if finished:
                    append(results, {"run": run_record(plan, listed, start, finished, command)})
    return finished


def run_record(plan: Plan, listed: Mapping[str, Any], start: float, finished: int, command: str) -> Record:
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d", time.gmtime(start)),
        "seconds": round(time.time() - start),
        "models": finished,
        "jobs": plan.jobs,
        "cpus": os.cpu_count(),
        "versions": listed["versions"],
    }


def chosen(models: Sequence[dict[str, str]], plan: Plan) -> list[dict[str, str]]:
    """The models that the plan names, or a sample of all of them that depends on the seed only."""
    found = [m for m in models if not plan.names or m["name"] in plan.names or m["reference"] in plan.names]
    if plan.sample is not None and plan.sample < len(found):
        found = random.Random(plan.seed).sample(found, plan.sample)
    return found


class Running:
    """The processes of a sweep that are running, so that an interrupt can end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def one(self, model: dict[str, str], plan: Plan) -> Record:
        """Try one model in a process of its own, and give its record."""
        command = [sys.executable, "-m", "portwright.cli", "try", model["reference"], "--json"]
        command += ["--time-limit", str(plan.time_limit), "--memory-limit", str(plan.memory_limit)]
        start = time.perf_counter()
        with self._lock:
            if self._stopped:
                return failed(model, "the sweep was ended", 0.0)
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            self._processes.add(process)
        try:
            out, err = process.communicate(timeout=plan.time_limit + GRACE)
        except subprocess.TimeoutExpired:
            end(process)
            out, err = process.communicate()
            return failed(
                model, f"its process did not end within {plan.time_limit + GRACE:g} s", time.perf_counter() - start
            )
        finally:
            with self._lock:
                self._processes.discard(process)
        try:
            return record_of(model, json.loads(out.strip().splitlines()[-1]))
        except (ValueError, IndexError):
            said = "\n".join(err.strip().splitlines()[-5:])
            return failed(model, f"status {process.returncode}: {said}", time.perf_counter() - start)

    def stop(self) -> None:
        """End what is running, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                end(process)


def end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def failed(model: Mapping[str, str], problem: str, seconds: float) -> Record:
    """The record of a try that gave none itself."""
    tried = {
        "status": "failed",
        "problems": [{"where": "try", "problem": problem}],
        "seconds": {"total": round(seconds, 1)},
    }
    return record_of(model, tried)
