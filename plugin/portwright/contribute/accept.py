"""Record a person's yes to a port, bound to the digest of the evidence that they saw: port.acceptance.json."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from .. import canonical
from ..errors import ExitCode, PortError, Problem
from ..evidence import EVIDENCE, MANIFEST, devices_not_run, judge, recorded_only
from ..publish import publish_text
from ..schema import check

FILE = "port.acceptance.json"


def accept(directory: Path, terminal: TextIO, answers: TextIO) -> Path:
    """Show the figures of the port in `directory`, ask for its name, and write the record.

    Raises PortError without a terminal on both ends, for evidence that fails, and for another answer.
    """
    where = str(directory / FILE)
    if not (terminal.isatty() and answers.isatty()):
        hint = "run it yourself in a terminal: an acceptance is a person's"
        raise PortError(Problem(where, "there is no terminal to ask on", hint), ExitCode.USAGE)
    evidence_text = _read(directory / EVIDENCE)
    evidence = _sealed(directory / EVIDENCE, evidence_text, "evidence")
    manifest = _sealed(directory / MANIFEST, _read(directory / MANIFEST), "manifest")
    failing = [row for row in judge(manifest, evidence) if not row.passed and not recorded_only(row.check)]
    if failing:
        hint = f"doit port:{manifest['port']}"
        said = "it does not pass" if failing[0].verdict else "it was not run"
        raise PortError([Problem(f"{directory / EVIDENCE}: {row.device}: {row.check}", said, hint) for row in failing])
    port = str(manifest["port"])
    for line in _summary(manifest, evidence):
        print(line, file=terminal)
    print(f"Type the port's name to accept this evidence ({port}): ", end="", file=terminal, flush=True)
    if answers.readline().strip() != port:
        raise PortError(Problem(where, "not accepted: that was not the port's name"))
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = acceptance_record(port, evidence_text, _person(directory), at)
    publish_text(directory / FILE, canonical.dumps(record))
    return directory / FILE


def acceptance_record(port: str, evidence_text: bytes, by: str, at: str) -> dict[str, Any]:
    """Build the record; `at` is a time in UTC such as "2026-11-25T01:30:00Z"."""
    return {"schema": 1, "port": port, "evidence": canonical.sha256_text(evidence_text), "by": by, "at": at}


def _summary(manifest: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[str]:
    """Say what the person is about to accept: counts, the closest call of each device, and what nobody ran."""
    lines = [f"{manifest['port']}: {len(manifest['checks'])} checks"]
    for device in sorted(evidence["runs"]):
        rows = [row for row in judge(manifest, evidence) if row.device == device and row.verdict is not None]
        limited = [row for row in rows if row.verdict and 0 < row.verdict.tolerance < float("inf")]
        closest = max(limited, key=lambda r: r.verdict.measured / r.verdict.tolerance, default=None)  # type: ignore[union-attr]  # filtered above
        lines.append(f"  {device}: {sum(row.passed for row in rows)} of {len(rows)} hold")
        if closest is not None and closest.verdict is not None:
            lines.append(f"    closest to its tolerance: {closest.check}: {closest.verdict.why}")
        loosened = [row for row in rows if row.loosened is not None]
        if loosened:
            lines.append(f"    {len(loosened)} loosened ×{max(row.loosened or 1 for row in loosened):.3g}")
    lines += [f"  {device}: not run" for device in devices_not_run(evidence)]
    return lines


def _person(directory: Path) -> str:
    """Give the name and address that git would put under a commit here."""
    done = subprocess.run(["git", "-C", str(directory), "var", "GIT_AUTHOR_IDENT"], capture_output=True, check=False)
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode or not said:
        hint = "git config user.name and user.email"
        raise PortError(Problem(FILE, "git does not know who you are", hint), ExitCode.USAGE)
    return said.rpartition(">")[0] + ">"


def _sealed(path: Path, content: bytes, kind: str) -> dict[str, Any]:
    body = canonical.parse_object(content, str(path))
    problems = check(body, kind, str(path), content.decode())
    if not problems and body["seal"] != canonical.seal(body):
        problems = [Problem(str(path), "it was edited: its seal is of another content", "doit port")]
    if problems:
        raise PortError(problems)
    return body


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PortError(Problem(str(path), str(error.strerror), "doit port"), ExitCode.USAGE) from None
