"""`python -m portwright.gguf JOB.json`: write the config and the tokenizer that a GGUF file's metadata describes.

Job: {"file": path, "shown": what messages call it, "table": the Skill's `[gguf]`, "out": folder}.
Result: {"files": {name: sha256}, "tokenizer": "" or why there is none}.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import PortError
from ..publish import publish_text
from ..workers import Emit, worker_main
from .config import make_config
from .header import read_header
from .tokenizer import make_tokenizer


def run(job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Do one job; a tokenizer that cannot be built is said and left out, a config must come out whole."""
    shown, table, out = job["shown"], job["table"], Path(job["out"])
    header = read_header(Path(job["file"]), shown)
    texts = {"config.json": json.dumps(make_config(table, header, shown), indent=2, ensure_ascii=False) + "\n"}
    said = ""
    try:
        texts |= make_tokenizer(table.get("pre", {}), header.metadata, shown)
    except PortError as error:
        said = "; ".join(problem.problem for problem in error.problems)
        emit.log(f"no tokenizer is written: {said}")
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        publish_text(out / name, text)
    return {"files": {name: sha256(text.encode()).hexdigest() for name, text in texts.items()}, "tokenizer": said}


if __name__ == "__main__":
    worker_main(run)
