"""`ModelArgs`: the config fields that the port reads, and the checks of what it takes for granted.

A config that holds configs becomes a dataclass for each class of them; a check stands in the dataclass whose fields
it reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portwright.codegen.emit.configs import HOLDER, seen_by, title
from portwright.codegen.emit.layer_configs import FIELD
from portwright.codegen.emit.properties import add_read_fields, property_text
from portwright.codegen.emit.prune import negated
from portwright.codegen.emit.scope import ADDS_OUTPUTS
from portwright.codegen.emit.work import Work
from portwright.codegen.holes import Assumption
from portwright.codegen.quote import literal
from portwright.codegen.runtime.root import config_fields
from portwright.codegen.source import parse_function
from portwright.codegen.tidy.fold import decided
from portwright.codegen.trace import Trace

# Fields that a library's shared functions ask for and that it saves only where they are set, with what they then are.
UNSET: Mapping[str, Any] = {FIELD: None, "is_causal": True}
FROM_DICT = """
    @classmethod
    def from_dict(cls, config: dict) -> "{title}":
{merge}        names = {{f.name for f in fields(cls)}}
{others}        return cls(**{{k: v for k, v in config.items() if k in names}})
"""
SHARED = '''
class Config:
    """What a config.json holds, by name; fields that the port does not read are left out."""

    @classmethod
    def from_dict(cls, config: dict):
        names = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in config.items() if k in names})
'''
OTHERS = """        others = sorted(set(config.get("kwargs", {{}})) - names{ignored})
        if others:
            raise ValueError(f"this port was generated without what {{', '.join(others)}} needs")
"""
MERGE = '        config = {**config, **config.get("kwargs", {})}\n'


def others(trace: Trace) -> str:
    """What refuses keywords that a plain class takes through `**kwargs` and no run gave: they may mean anything."""
    init = trace.functions.get(trace.init)
    arguments = parse_function(init.source).args if init is not None else None
    if arguments is None or trace.config_style != "kwargs" or arguments.kwarg is None:
        return ""
    ignored = sorted(a.arg for a in (*arguments.posonlyargs, *arguments.args[1:], *arguments.kwonlyargs))
    return OTHERS.format(ignored=f" - set({ignored!r})" if ignored else "")


@dataclass
class Holder:
    """One dataclass to be written."""

    key: str  # of the config class, "" for the root's
    names: dict[str, None] = field(default_factory=dict)
    checks: dict[str, Assumption] = field(default_factory=dict)  # test over `self` -> what it guards
    written: set[str] = field(default_factory=set)  # fields that the port assigns
    unset: dict[str, Any] = field(default_factory=dict)  # fields that no config had -> what the reference then takes


def model_args(work: Work, assumptions: Iterable[Assumption]) -> tuple[str, set[str]]:
    """The text of the dataclasses, and the names from dataclasses and typing that they need."""
    trace = work.program.trace
    cached = work.program.runtime == "mlx-lm"
    found = {"": Holder("", dict.fromkeys(config_fields(work) if cached else ()))}
    for key, name in work.facts.config:
        found.setdefault(key, Holder(key)).names[name] = None
    for d in (d for f in work.done.values() for d in f.demands if d.kind == "written"):
        found.setdefault(d.b, Holder(d.b)).written.add(d.a)
    outputs = () if cached else added_outputs(trace, found)  # mlx-lm takes logits, and nothing else
    place_checks(trace, found, (*assumptions, *outputs))
    for (key, name), value in work.unset.items():
        if key in found:
            found[key].unset[name] = value
    ordered = [found[k] for k in inner_first(trace, found)]
    needs = {"dataclass", "fields"} if not cached or len(found) > 1 else {"dataclass"}
    texts = [text_of(trace, holder, found, needs, cached and not holder.key) for holder in ordered]
    return "\n\n".join(([SHARED] if len(texts) > 1 else []) + texts), needs


def place_checks(trace: Trace, found: dict[str, Holder], assumptions: Iterable[Assumption]) -> None:
    """Give each check to the dataclass whose fields it reads."""
    by_title = {title(trace, key): key for key in ("", *trace.configs) if key != trace.root_config}
    for a in assumptions:
        if a.checked != "construction":
            continue
        for where, check in seen_by(trace, a.config).items():
            key = by_title.get(where, "")
            holder = found.setdefault(key, Holder(key))
            holder.checks[check] = a
            for node in ast.walk(ast.parse(check, mode="eval")):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                    holder.names[node.attr] = None


def added_outputs(trace: Trace, found: Iterable[str]) -> list[Assumption]:
    """What is taken for granted, in each config that is read, of the fields by which a library adds outputs."""
    out = []
    for key in found:
        held = trace.configs.get(key)
        defaults = held.defaults if held is not None else trace.config_defaults
        saved = held.saved if held is not None else tuple(m.config for m in trace.models)
        holder = f"{HOLDER}__{title(trace, key)}" if key else HOLDER
        for n in ADDS_OUTPUTS:
            said = {bool(s.get(n)) for s in saved} or {False}
            if n in defaults and len(said) == 1:
                out.append(
                    Assumption(trace.reference, f"config.{n}", next(iter(said)), "construction", f"{holder}.{n}")
                )
    return out


def inner_first(trace: Trace, found: Mapping[str, Holder]) -> list[str]:
    """The dataclasses so that each comes after those that it holds; the root is last."""
    out: list[str] = []

    def add(key: str) -> None:
        held = trace.configs.get(key or trace.root_config)
        for child in held.children.values() if held is not None else ():
            inner = "" if child == trace.root_config else child
            if inner in found and inner != key and inner not in out:
                add(inner)
        if key not in out:
            out.append(key)

    for key in found:
        if key:
            add(key)
    out = [key for key in out if key]
    return [*out, ""]


def text_of(trace: Trace, holder: Holder, found: Mapping[str, Holder], needs: set[str], of_mlx_lm: bool) -> str:
    """One dataclass; `of_mlx_lm`: the root's under mlx-lm, whose base class reads a config.json."""
    name = title(trace, holder.key)
    computed = add_read_fields(trace, holder.key, holder.names)
    nested = nested_fields(trace, holder, found)
    required, optional = [], []
    for q in holder.names:
        if q in nested:
            needs.add("field")
            optional.append(f"    {q}: {nested[q]} = field(default_factory=dict)")
            continue
        default, known = (holder.unset[q], True) if q in holder.unset else default_of(trace, holder.key, q)
        kind = type_of(trace, holder.key, q, default)
        if not known and is_always_saved(trace, holder.key, q):
            required.append(f"    {q}: {kind}")
        elif isinstance(default, (list, dict)):
            needs.add("field")
            optional.append(f"    {q}: {kind} = field(default_factory={maker_of(default)})")
        else:
            optional.append(f"    {q}: {kind} = {ast.unparse(literal(default))}")
        if "Any" in kind:
            needs.add("Any")
    if not holder.key and not of_mlx_lm:
        optional.append("    quantization: dict | None = None")
    shared = len(found) > 1 or of_mlx_lm
    base = "(BaseModelArgs)" if of_mlx_lm else "(Config)" if shared else ""
    head = f"@dataclass\nclass {name}{base}:\n"
    text = head + "\n".join([*required, *optional] or ["    pass"]) + "\n"
    if holder.checks or nested:
        text += post_init(holder.checks, nested, FIELD in holder.names)
    for q in computed:
        made, modules = property_text(trace, holder.key, q, holder.names, q in holder.written)
        text += made
        needs |= {f"import {m}" for m in modules}
    if not shared:
        merge = MERGE if trace.config_style == "kwargs" else ""
        text += FROM_DICT.format(title=name, merge=merge, others=others(trace))
    return text


def maker_of(default: list[Any] | dict[str, Any]) -> str:
    """What makes a new list or dict; a pattern that repeats is written once: `lambda: ['a', 'b'] * 13`."""
    if not default:
        return type(default).__name__
    text = ast.unparse(literal(default))
    if isinstance(default, list) and len(default) > 3 and all(isinstance(v, str) for v in default):
        period = next(n for n in range(1, len(default) + 1) if default[n:] == default[:-n])
        times, rest = divmod(len(default), period)
        if times > 1:
            text = f"{ast.unparse(literal(default[:period]))} * {times}"
            text += f" + {ast.unparse(literal(default[:rest]))}" if rest else ""
    return f"lambda: {text}"


def nested_fields(trace: Trace, holder: Holder, found: Mapping[str, Holder]) -> dict[str, str]:
    """The fields that hold a config of their own: field -> dataclass."""
    held = trace.configs.get(holder.key or trace.root_config)
    if held is None:
        return {}
    children = {q: "" if key == trace.root_config else key for q, key in held.children.items()}
    return {q: title(trace, children[q]) for q in holder.names if q in children and children[q] in found}


def default_of(trace: Trace, key: str, name: str) -> tuple[Any, bool]:
    """The library's default of a field; a field without one is required."""
    defaults = trace.configs[key].defaults if key else trace.config_defaults
    if name in defaults:
        value = defaults[name]
        return (value, True) if isinstance(value, (bool, int, float, str, type(None), list, dict)) else (None, False)
    return UNSET.get(name), name in UNSET


def saved_values(trace: Trace, key: str, name: str) -> list[Any]:
    """What the observed configs say for a field; nothing for those that leave it out."""
    if key:
        return [s[name] for s in trace.configs[key].saved if name in s]
    configs = [{**m.config, **m.config.get("kwargs", {})} for m in trace.models]
    return [c[name] for c in configs if name in c]


def is_always_saved(trace: Trace, key: str, name: str) -> bool:
    """Whether each observed config of a class has a field; configs of parts may get one on the way."""
    return not key or len(saved_values(trace, key, name)) in (0, len(trace.configs[key].saved))


def type_of(trace: Trace, key: str, name: str, default: Any) -> str:
    """The annotation of a field, from its default and the values seen."""
    seen = saved_values(trace, key, name)
    kinds = {type(v).__name__ for v in (default, *seen) if v is not None}
    kinds = {"list" if k == "tuple" else k for k in kinds}
    if "float" in kinds:
        kinds.discard("int")
    if not kinds:
        return "Any"
    shown = " | ".join(sorted(kinds))
    optional = (default is None and default_of(trace, key, name)[1]) or any(v is None for v in seen)
    return f"{shown} | None" if optional else shown


def post_init(checks: Mapping[str, Assumption], nested: Mapping[str, str], layered: bool = False) -> str:
    """Make the inner dataclasses, and refuse, at construction, a config that the port was not generated for.

    `layered`: fields may be overridden for single layers, and what holds for the model must hold for each of them.
    """
    lines = ["\n    def __post_init__(self):"]
    for name, kind in nested.items():
        lines.append(f"        if isinstance(self.{name}, dict):")
        lines.append(f"            self.{name} = {kind}.from_dict(self.{name})")
    if layered and any(FIELD not in config for config in checks):
        lines.append(f"        layers = [self, *(config_of_layer(self, int(place)) for place in self.{FIELD} or {{}})]")
    tests = [simplified(config, a.value) for config, a in checks.items()]
    for test in sorted(without_implied(list(dict.fromkeys(tests))), key=reads_an_item):
        flags = flags_of(test)
        if layered and FIELD not in test:
            of_layer = re.sub(r"\bself\b", "layer", test)
            test = f"any({of_layer} for layer in layers)"
        if any("." in flag for flag in flags):
            shown = ", ".join(f"{flag}={{self.{flag}!r}}" for flag in flags)
            lines.append(f"        if {test}:")
            lines.append(f'            raise ValueError(f"this port was generated without what {shown} needs")')
        else:
            lines.append(f"        refuse(self, {test}, {', '.join(map(repr, flags))})")
    return "\n".join(lines) + "\n"


def reads_an_item(test: str) -> bool:
    """Whether a test reads an item that a dict may lack, if another test refuses dicts of that kind by its name."""
    tree = ast.parse(test, mode="eval").body
    names = isinstance(tree, ast.Compare) and isinstance(tree.ops[0], ast.NotEq)
    return not names and any(isinstance(n, ast.Subscript) for n in ast.walk(tree))


def without_implied(tests: list[str]) -> list[str]:
    """The tests of refusals without those that another makes true.

    `x == 'a'`, `x is None`, `not x` and `not isinstance(x, str)` where `x != 'b'`.
    """
    unlike: dict[str, object] = {}
    parsed = [ast.parse(test, mode="eval").body for test in tests]
    for node in parsed:
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.NotEq):
            right = node.comparators[0]
            unlike |= {ast.unparse(node.left): right.value} if isinstance(right, ast.Constant) else {}

    def implied(node: ast.expr) -> bool:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            asked = node.operand
            if isinstance(asked, ast.Call) and ast.unparse(asked.func) == "isinstance":
                of = unlike.get(ast.unparse(asked.args[0]))
                return of is not None and ast.unparse(asked.args[1]) == type(of).__name__
            return bool(unlike.get(ast.unparse(asked)))
        if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.Is))):
            return False
        left, right = ast.unparse(node.left), node.comparators[0]
        return isinstance(right, ast.Constant) and left in unlike and unlike[left] != right.value

    return [test for test, node in zip(tests, parsed, strict=True) if not implied(node) and test != "False"]


def flags_of(config: str) -> list[str]:
    """The fields of `self` that a check reads, as dotted names: those of a config inside it are `text_config.x`."""
    found: dict[str, None] = {}

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Attribute) and re.fullmatch(r"self[\w.]+", ast.unparse(node)):
            found[ast.unparse(node).removeprefix("self.")] = None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            for part in (node.func.value, *node.args, *node.keywords):  # of `self.x.get('k')` the field is x
                visit(part)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child)

    visit(ast.parse(config, mode="eval"))
    return list(found)


def simplified(config: str, value: bool) -> str:
    """What must not be where a test was always `value`: constants decided, no `not` where an operator says it."""
    test = ast.parse(config, mode="eval").body
    return ast.unparse(decided(negated(test) if value else test))
