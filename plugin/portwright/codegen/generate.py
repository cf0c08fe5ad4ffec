"""The generate worker: `python -m portwright.codegen.generate job.json` (MLX only, no torch)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx

from portwright.codegen.emit.defaults import NO_OUTPUT
from portwright.codegen.emit.file import assumptions, file_text, holes
from portwright.codegen.emit.work import Work
from portwright.codegen.facts.fixpoint import solve
from portwright.codegen.idioms.proofs import prove
from portwright.codegen.lint import undefined_names
from portwright.codegen.portmap import portmap
from portwright.codegen.program import Program
from portwright.codegen.trace import read_trace
from portwright.errors import ExitCode, PortError, Problem
from portwright.workers import Emit, worker_main


def publish(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def canonical(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def not_in_text(work: Work) -> Iterator[dict[str, str]]:
    """What the library's decorators add to the root's results or take from its arguments, as holes."""
    trace = work.program.trace
    entry = work.program.functions.get(trace.entry)
    result = work.results.get(trace.entry)
    if entry is None or work.program.runtime != "standalone":
        return
    for name in sorted(trace.outputs - set(result.keys)) if result is not None and result.keys else ():
        reason = f"the library's hooks record {name}, which no statement of its forward makes"
        yield {"reason": reason, "source": name}
    for name in sorted(trace.arguments - set(entry.parameters)):
        if entry.tree.args.kwarg is not None and name not in {*work.done[trace.entry].kept, *NO_OUTPUT}:
            reason = f"the library's decorators take the argument {name}, which no statement of its forward reads"
            yield {"reason": reason, "source": name}


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Generate model.py, config.json and portmap.json under `out`."""
    folder, out = Path(job["trace"]), Path(job["out"])
    runtime = job.get("runtime", "standalone")
    if runtime not in ("standalone", "mlx-lm"):
        raise PortError(
            Problem("runtime", f"{runtime!r} is no runtime", 'use "standalone" or "mlx-lm"'), ExitCode.USAGE
        )
    trace = read_trace(folder / "trace.json")
    samples: Any = mx.load(str(folder / "samples.safetensors"))
    program = Program(trace, runtime)
    work = solve(program, prove(program, samples, frozenset(job.get("without", ()))))
    command = job.get("command") or f"portwright try {trace.reference}"
    text = file_text(work, command, job.get("licence"))
    found = [{"where": h.where, "reason": h.reason, "source": h.source} for h in holes(work)]
    found += [
        {"where": f"model.py:{line}", "reason": f"the name {name} is not defined", "source": name}
        for name, line in undefined_names(text)
    ]
    taken = [{"where": a.where, "test": a.test, "value": a.value, "checked": a.checked} for a in assumptions(work)]
    if trace.entry not in program.functions:
        reason = "its forward is a library's own code, which is called and never rewritten"
        found.append({"where": trace.reference, "reason": reason, "source": trace.entry})
    found += [{"where": trace.reference, **h} for h in not_in_text(work)]
    out.mkdir(parents=True, exist_ok=True)
    publish(out / "model.py", text)
    model_file = {"model_file": "model.py"} if runtime == "mlx-lm" else {}
    publish(out / "config.json", canonical({**trace.models[0].config, **model_file}))
    publish(out / "portmap.json", canonical(portmap(work, text, found, taken)))
    return {
        "classes": text.count("\nclass "),
        "lines": text.count("\n"),
        "holes": found,
        "assumptions": taken,
        "digest": "sha256:" + hashlib.sha256(text.encode()).hexdigest(),
    }


if __name__ == "__main__":
    worker_main(run)
