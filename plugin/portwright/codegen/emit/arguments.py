"""`ModelArgs`: the config fields that the port reads, and the checks of what it takes for granted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

from portwright.codegen.emit.work import Work
from portwright.codegen.holes import Assumption
from portwright.codegen.quote import literal
from portwright.codegen.trace import Trace

HEAD = """@dataclass
class ModelArgs:
"""
FROM_DICT = """
    @classmethod
    def from_dict(cls, config: dict) -> "ModelArgs":
{merge}        names = {{f.name for f in fields(cls)}}
        return cls(**{{k: v for k, v in config.items() if k in names}})
"""


def model_args(work: Work, assumptions: Iterable[Assumption]) -> tuple[str, set[str]]:
    """The text of the dataclass, and the names from dataclasses and typing that it needs."""
    trace = work.program.trace
    checks = {a.config: a for a in assumptions if a.checked == "construction"}
    names = dict.fromkeys(work.facts.config)
    for config in checks:
        for node in ast.walk(ast.parse(config)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                names[node.attr] = None
    needs = {"dataclass", "fields"}
    required, optional = [], []
    for name in names:
        default, known = default_of(trace, name)
        kind = type_of(trace, name, default)
        if not known:
            required.append(f"    {name}: {kind}")
        elif isinstance(default, (list, dict)):
            needs.add("field")
            optional.append(f"    {name}: {kind} = field(default_factory=lambda: {default!r})")
        else:
            optional.append(f"    {name}: {kind} = {ast.unparse(literal(default))}")
        if "Any" in kind:
            needs.add("Any")
    optional.append("    quantization: dict | None = None")
    text = HEAD + "\n".join([*required, *optional]) + "\n"
    if checks:
        text += post_init(checks)
    merge = '        config = {**config, **config.get("kwargs", {})}\n'
    text += FROM_DICT.format(merge=merge if trace.config_style == "kwargs" else "")
    return text, needs


def default_of(trace: Trace, name: str) -> tuple[Any, bool]:
    """The library's default of a field; a field without one is required."""
    if name in trace.config_defaults:
        value = trace.config_defaults[name]
        return (value, True) if isinstance(value, (bool, int, float, str, type(None), list, dict)) else (None, False)
    return None, False


def type_of(trace: Trace, name: str, default: Any) -> str:
    """The annotation of a field, from its default and the values seen."""
    values = [default] + [m.config.get(name, m.config.get("kwargs", {}).get(name)) for m in trace.models]
    kinds = {type(v).__name__ for v in values if v is not None}
    kinds = {"list" if k == "tuple" else k for k in kinds}
    if "float" in kinds:
        kinds.discard("int")
    if not kinds:
        return "Any"
    shown = " | ".join(sorted(kinds))
    optional = (default is None and name in trace.config_defaults) or any(
        name in m.config and m.config[name] is None for m in trace.models
    )
    return f"{shown} | None" if optional else shown


def post_init(checks: Mapping[str, Assumption]) -> str:
    """Refuse, at construction, a config that the port was not generated for."""
    lines = ["\n    def __post_init__(self):"]
    for config, a in checks.items():
        test = config if not a.value else f"not ({config})"
        test = simplified(config) if a.value else test
        flags = list(dict.fromkeys(re.findall(r"self\.(\w+)", config)))
        shown = ", ".join(f"{f}={{self.{f}!r}}" for f in flags)
        lines.append(f"        if {test}:")
        lines.append(f'            raise ValueError(f"this port was generated without what {shown} needs")')
    return "\n".join(lines) + "\n"


def simplified(config: str) -> str:
    """The opposite of a test, without a `not` where an operator says it."""
    from portwright.codegen.emit.prune import negated

    return ast.unparse(negated(ast.parse(config, mode="eval").body))
