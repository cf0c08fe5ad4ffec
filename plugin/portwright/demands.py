"""What each check demands: the rule that gives its tolerance, its headroom, and the facts that it follows from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .verify import tolerance

BUDGET = "at most the budget"  # the rule whose limit a person wrote, in port.toml


def facts_of(component: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the manifest repeats of a component's facts in port.lock."""
    facts = component["facts"]
    return {
        "class": facts["class"],
        "kind": facts["kind"],
        "parameters": facts["parameters"],
        "config": facts["config"],
        "exempt": dict(facts.get("exempt", {})),
    }


def demand_of(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """Say what a check demands: its metric, the rule that gives the tolerance, the headroom and the noise's origin."""
    if entry is None:
        return {"rule": "not run"}
    demand = {key: entry[key] for key in ("metric", "headroom", "origin")} | {"rule": rule_of(entry)}
    factor = tolerance.loosened(entry)
    return demand | ({"loosened": f"×{factor:.3g}"} if factor is not None else {})


def rule_of(entry: Mapping[str, Any]) -> str:
    """Name the rule by which an entry is judged."""
    metric = entry["metric"]
    if metric in tolerance.EXACT:
        return "none allowed"
    if metric in tolerance.RECORDED:
        return "recorded"
    if metric in tolerance.SHARES:
        return "at most the share of tolerance.toml"
    if metric in tolerance.BUDGETED or entry["origin"] == "budget":
        return BUDGET
    return "at most headroom × noise"


def headroom_of(entry: Mapping[str, Any], own: float | None) -> float:
    """Give an entry's headroom: the Skill's own number, or the built-in one, where there is noise to multiply."""
    multiplies = entry["metric"] in tolerance.DISTANCES and entry["origin"] != "budget"
    value = own if own is not None and multiplies else tolerance.headroom_for(entry["metric"], entry["origin"])
    return int(value) if value == int(value) else value


def budgets(lock: Mapping[str, Any]) -> dict[str, str]:
    """Give the figure that a quantization check is limited by, for each budget of port.toml that port.lock holds."""
    found = {}
    for name, component in lock["components"].items():
        budget = (component["facts"].get("quantize") or {}).get("budget") or {}
        for metric, limit in budget.items():  # "top1" is the share that agrees, the check measures what does not
            found[f"{name}/quantization/{metric}"] = tolerance.figure(1 - limit if metric == "top1" else limit)
    return found
