"""The atlas's results: JSON lines, one for each model that was tried, appended as they come."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read(path: Path) -> tuple[dict[tuple[str, str], Record], list[Record]]:
    """The last record of each model by (library, name), and the records of the runs.

    A line that does not parse is one that an ended run left half written: it is skipped, and its model tried again.
    """
    models: dict[tuple[str, str], Record] = {}
    runs: list[Record] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "run" in record:
            runs.append(record["run"])
        elif isinstance(record, dict) and {"library", "name", "status"} <= set(record):
            models[record["library"], record["name"]] = record
    return models, runs


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line, in one write; a half-written line before it is ended first."""
    text = json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = "\n" + text
        file.write(text.encode())
        file.flush()


def record_of(model: Mapping[str, str], tried: Mapping[str, Any]) -> Record:
    """What the atlas keeps of a try's JSON: enough to say what happened and why, and no more."""
    errors = [o["rel_l2"] for o in tried.get("outputs", ()) if isinstance(o.get("rel_l2"), (int, float))]
    holes = {(hole["reason"], hole["where"]): hole for hole in tried.get("holes", ())}
    return {
        **{key: model[key] for key in ("library", "name", "kind")},
        **{key: tried.get(key) for key in ("status", "classes", "lines", "modules_compared", "first_divergence")},
        "holes": [{"where": h["where"], "reason": h["reason"], "source": h["source"][:160]} for h in holes.values()][
            :40
        ],
        "problems": [{"where": p["where"][-120:], "problem": p["problem"][-600:]} for p in tried.get("problems", ())][
            :3
        ],
        "notes": [note[:300] for note in tried.get("notes", ())][:8],
        "worst": max(errors, default=None),
        "seconds": tried.get("seconds", {}).get("total"),
        "peak_rss": tried.get("peak_rss"),
    }
