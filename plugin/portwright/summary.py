"""What `doit port` ends with: components, parameters, checks with their worst figure against tolerance, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Problem

if TYPE_CHECKING:
    from .evidence import Judged, Proof

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True)
class Line:
    """One component as the summary shows it; `out` is its output folder."""

    name: str
    reference: str
    parameters: int
    out: str


@dataclass(frozen=True)
class Row:
    """All checks of one kind on one device: how many passed, and the figure that came closest to its tolerance."""

    device: str
    check: str
    passed: int
    count: int
    worst: Judged


@dataclass(frozen=True)
class Summary:
    """The outcome of one port."""

    port: str
    directory: Path
    components: tuple[Line, ...]
    proof: Proof
    holes: tuple[str, ...]
    details: Mapping[str, str]

    def rows(self) -> list[Row]:
        """Group the judged checks by device and kind."""
        groups: dict[tuple[str, str], list[Judged]] = {}
        for judged in self.proof.judged:
            if judged.verdict is not None:
                component, kind, _ = judged.check.split("/", 2)
                groups.setdefault((judged.device, f"{component}/{kind}"), []).append(judged)
        return [
            Row(device, check, sum(j.passed for j in group), len(group), max(group, key=_strain))
            for (device, check), group in groups.items()
        ]

    def not_run(self) -> list[Judged]:
        return [judged for judged in self.proof.judged if judged.verdict is None]

    def problems(self) -> list[Problem]:
        """Return what keeps this port from being proved: open holes first, since they fail the checks that follow."""
        from .evidence import recorded_only

        hint = "translate the quoted source by hand in model.py, then `doit port`"
        said = "is a hole: codegen could not translate it"
        found = [Problem(self.port, f"{where} {said}", hint) for where in self.holes]
        found += [
            Problem(
                self.port,
                f"{j.check} on {j.device}: {j.verdict.why}" + _detail(self.details.get(j.check)),
                _mend(j.check),
            )
            for j in self.proof.judged
            if j.verdict is not None and not j.verdict.passed
        ]
        found += [
            Problem(self.port, f"{j.check} on {j.device} was not run: {j.why}", "mend what kept it, then `doit port`")
            for j in self.not_run()
            if not recorded_only(j.check)
        ]
        return found

    def as_text(self, colour: bool = False) -> str:
        """Return the table that people see; figures are measured against tolerance."""
        good, bad, plain = (_GREEN, _RED, _PLAIN) if colour else ("", "", "")
        rows = self.rows()
        width = max([len(row.check) for row in rows] + [8])
        lines = [f"\n{self.port}"]
        for line in self.components:
            lines.append(f"  {line.name}: {line.reference}, {line.parameters:,} parameters -> {line.out}/")
        lines.append(f"  {'check':<{width}}  {'passed':>9}  {'worst figure':<22} {'tolerance':<11} where")
        for row in rows:
            verdict = row.worst.verdict
            assert verdict is not None
            mark = f"{good}ok{plain}" if row.passed == row.count else f"{bad}FAILED{plain}"
            figure = f"{row.worst.entry['metric']} {verdict.measured:.1e}" if row.worst.entry else ""
            limit = "recorded" if verdict.tolerance == float("inf") else f"{verdict.tolerance:.1e}"
            where = row.worst.check.split("/", 2)[2]
            lines.append(
                f"  {row.check:<{width}}  {row.passed:>4}/{row.count:<4}  {figure:<22} {limit:<11} {where}  {mark}"
            )
        for judged in self.not_run():
            lines.append(f"  not run: {judged.check} on {judged.device}: {judged.why}")
        from .evidence import devices_not_run

        devices = sorted({row.device for row in rows})
        passed, count = sum(r.passed for r in rows), sum(r.count for r in rows)
        state = f"{good if passed == count else bad}{passed} of {count} checks passed{plain}"
        absent = "".join(f"; {device}: not run" for device in devices_not_run(self.proof.evidence))
        lines.append(f"  {state} on {', '.join(devices)}{absent}")
        if self.holes:
            lines.append(f"  {bad}{len(self.holes)} holes{plain}: {', '.join(self.holes)}")
        lines.append("  evidence: port.manifest.json, port.evidence.json, port.lock")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        rows = [
            {
                "device": row.device,
                "check": row.check,
                "passed": row.passed,
                "count": row.count,
                "worst": dict(row.worst.entry or {}),
                "where": row.worst.check,
            }
            for row in self.rows()
        ]
        components = [vars(line) for line in self.components]
        absent = [{"check": j.check, "device": j.device, "why": j.why} for j in self.not_run()]
        return {
            "port": self.port,
            "components": components,
            "checks": rows,
            "not_run": absent,
            "holes": list(self.holes),
        }


def details_of(measured: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return what the measurements say beside their figures, by `<component>/<check>`."""
    return {
        f"{found['component']}/{check}": str(entry["detail"])
        for found in measured
        for check, entry in found["checks"].items()
        if entry.get("detail")
    }


def _strain(judged: Judged) -> float:
    """How close a figure is to its tolerance: 1 is at it."""
    verdict = judged.verdict
    assert verdict is not None
    if verdict.tolerance > 0:
        return verdict.measured / verdict.tolerance
    return float("inf") if verdict.measured else 0.0


def _mend(check: str) -> str:
    if check.split("/")[1:2] == ["quantization"]:
        return "take more bits, a smaller group_size or `keep`, or a larger quantize.budget, then `doit port`"
    return "mend model.py or the Skill, then `doit port`"


def _detail(text: str | None) -> str:
    return f" ({text})" if text else ""
