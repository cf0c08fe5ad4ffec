"""Hold committed evidence against a fresh measurement: the one thing that a forger who seals again cannot pass.

Two machines measure other last digits, so a figure agrees within RATIO, or where both lie below the noise. All else
must be equal: the inputs' digests, the checks, their demands and verdicts. The golden's digest may differ, since
another processor's reference answers in other last bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import Problem
from ..evidence import EVIDENCE, demand_of, recorded_only
from ..verify import tolerance

# An honest figure moves by the order in which a BLAS sums: less than 2 between the machines that we tried. A forged
# one that stays within 4 of the truth, and on the same side of its tolerance, has changed nothing.
RATIO = 4.0
_BUDGET_FLOOR = 1 / 16  # of the budget: below that, a distance to it means nothing

_Json = Mapping[str, Any]


def compare(committed: _Json, fresh: _Json, where: str = EVIDENCE) -> list[Problem]:
    """Compare two evidence objects of one port, the second measured just now on this machine.

    Every device that both hold is compared; the evidence holds where the list is empty.
    """
    problems = list(_input_problems(committed["inputs"], fresh["inputs"], where))
    both = sorted(committed["runs"].keys() & fresh["runs"].keys())
    for device in both:
        problems += _run_problems(committed["runs"][device], fresh["runs"][device], f"{where}: {device}")
    if not both:
        problems.append(Problem(where, "no device of the committed evidence was measured again"))
    return problems


def not_compared(committed: _Json, fresh: _Json) -> list[str]:
    """Name the devices whose committed figures were not measured again here."""
    return sorted(committed["runs"].keys() - fresh["runs"].keys())


def _input_problems(committed: _Json, fresh: _Json, where: str) -> Iterator[Problem]:
    ours, theirs = ({**inputs, **inputs["weights"]} for inputs in (committed, fresh))
    for key in sorted((ours.keys() | theirs.keys()) - {"weights"}):
        if key.split("/")[-1] != "golden" and ours.get(key) != theirs.get(key):
            said = f"the evidence is of {_brief(ours.get(key))}, and building it anew gives {_brief(theirs.get(key))}"
            yield Problem(f"{where}: inputs: {key}", said)


def _run_problems(run: _Json, again: _Json, where: str) -> Iterator[Problem]:
    reasons = {item["check"]: item["why"] for item in again["not_run"]}
    for check in sorted(run["checks"].keys() | again["checks"].keys()):
        entry, fresh = run["checks"].get(check), again["checks"].get(check)
        if fresh is None:
            why = reasons.get(check, "nothing measured it")
            if not recorded_only(check):
                yield Problem(f"{where}: {check}", f"it could not be measured again: {why}")
        elif entry is None:
            yield Problem(f"{where}: {check}", "it can be measured, and the evidence does not hold it")
        else:
            said = _disagreement(entry, fresh)
            if said:
                yield Problem(f"{where}: {check}", said)


def _disagreement(entry: _Json, fresh: _Json) -> str:
    """Say how a committed entry disagrees with the fresh one; empty where it agrees."""
    demanded, demands = demand_of(entry), demand_of(fresh)
    for key in ("metric", "rule", "headroom", "origin"):
        if demanded.get(key) != demands.get(key):
            return f"its {key} is {demanded.get(key)!r} in the evidence and {demands.get(key)!r} measured anew"
    if demands["rule"] == "recorded":
        return ""
    judged, judges = tolerance.verdict(entry), tolerance.verdict(fresh)
    if judged.passed != judges.passed:
        now = "it passes" if judges.passed else "it fails"
        return f"measured anew {now} ({judges.why}), and by the evidence not ({judged.why})"
    noise, value = float(fresh["noise"]), float(fresh["value"])
    if not _agree(float(entry["noise"]), noise, 0.0):
        return _apart("noise", entry["noise"], fresh["noise"])
    floor = {"at most headroom × noise": noise, "at most the budget": noise * _BUDGET_FLOOR}.get(demands["rule"])
    same = entry["value"] == fresh["value"] if floor is None else _agree(float(entry["value"]), value, floor)
    return "" if same else _apart("value", entry["value"], fresh["value"])


def _agree(one: float, other: float, floor: float) -> bool:
    """Tell whether two figures are within RATIO of each other, or both below the floor."""
    least, most = sorted((max(one, floor), max(other, floor)))
    return most <= least * RATIO


def _apart(what: str, committed: str, fresh: str) -> str:
    return (
        f"its {what} is {committed} in the evidence and {fresh} measured anew: no rerun gives that (within ×{RATIO:g})"
    )


def _brief(digest: object) -> str:
    return "nothing" if digest is None else str(digest)[:19]
