"""Hold committed evidence against a fresh measurement: the one thing that a forger who seals again cannot pass.

The same processor with the same libraries gives the same figures, so there they must agree closely; another machine
measures other last digits, so there a figure agrees within a wider ratio, or where both lie below the noise. All else
must be equal: the inputs' digests, the checks, their demands and verdicts. The golden's digest may differ, since
another processor's reference answers in other last bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..demands import demand_of
from ..errors import Problem
from ..evidence import EVIDENCE, recorded_only
from ..verify import tolerance

_Json = Mapping[str, Any]


@dataclass(frozen=True)
class Closeness:
    """How close a figure must be to the fresh one: within `ratio`, or both below `floor` × noise."""

    ratio: float
    floor: float


# Measured again and again here, every figure came out the same to the last bit; the room is for a busy machine that
# gives a library fewer threads.
SAME_MACHINE = Closeness(1.5, 1 / 32)
# The order in which another BLAS sums moves a figure by less than 2. A forged one that stays within 4 of the truth, and
# on the same side of its tolerance, has changed nothing.
OTHER_MACHINE = Closeness(4.0, 1.0)


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
    close = SAME_MACHINE if run["env"] == again["env"] else OTHER_MACHINE
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
            said = _disagreement(entry, fresh, close)
            if said:
                yield Problem(f"{where}: {check}", said)


def _disagreement(entry: _Json, fresh: _Json, close: Closeness) -> str:
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
    if not _agree(float(entry["noise"]), noise, 0.0, close.ratio):
        return _apart("noise", entry["noise"], fresh["noise"], close)
    floors = {"at most headroom × noise": noise * close.floor, "at most the budget": noise * close.floor / 16}
    floor = floors.get(demands["rule"])
    if floor is None:  # a count, or a share of modules: no arithmetic moves it
        same = entry["value"] == fresh["value"]
    else:
        same = _agree(float(entry["value"]), value, floor, close.ratio)
    return "" if same else _apart("value", entry["value"], fresh["value"], close)


def _agree(one: float, other: float, floor: float, ratio: float) -> bool:
    """Tell whether two figures are within a ratio of each other, or both below the floor."""
    least, most = sorted((max(one, floor), max(other, floor)))
    return most <= least * ratio


def _apart(what: str, committed: str, fresh: str, close: Closeness) -> str:
    same = " on this machine" if close is SAME_MACHINE else ""
    said = f"its {what} is {committed} in the evidence and {fresh} measured anew"
    return f"{said}: no rerun{same} gives that (within ×{close.ratio:g})"


def _brief(digest: object) -> str:
    return "nothing" if digest is None else str(digest)[:19]
