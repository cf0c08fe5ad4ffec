"""Config objects inside the config: which class an expression is, and how the port's dataclasses are called."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand
from portwright.codegen.holes import Assumption, HoleError

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope
    from portwright.codegen.trace import Trace

ROOT = "ModelArgs"
HOLDER = "self"  # in checks: the root's dataclass; `self__Name` is another, `self__A__and__B` both
_SEPARATOR = "__and__"


def config_keys(scope: Scope, node: ast.AST) -> tuple[str, ...]:
    """The config classes that an expression was, "" for the root's. Raises HoleError for one that nothing holds."""
    trace = scope.program.trace
    seen = scope.seen(node)
    if not seen.configs or not trace.root_config:
        return ("",)
    for key in seen.configs:
        if key not in trace.configs:
            raise HoleError(f"a config object ({key.rpartition(':')[2]}) that the model's config does not hold")
    return tuple(sorted("" if key == trace.root_config else key for key in seen.configs))


def field_of(scope: Scope, node: ast.AST, name: str) -> str:
    """The saved name of a field of a config object; libraries give some a second name."""
    names = set()
    for key in config_keys(scope, node):
        held = scope.program.trace.configs.get(key or scope.program.trace.root_config)
        names.add(held.attribute_map.get(name, name) if held is not None else name)
    if len(names) > 1:
        raise HoleError(f"the config field {name}, which is {' or '.join(sorted(names))}")
    return names.pop()


def config_demands(scope: Scope, node: ast.AST, field: str) -> list[Demand]:
    """That a field of these config objects is read."""
    return [Demand("config", field, key) for key in config_keys(scope, node)]


def without_field(scope: Scope, n: ast.Call, field: str, default: ast.expr) -> list[Demand]:
    """That a config says of a field what `getattr` gives where it has none: another may have it, and is refused."""
    plain = isinstance(default, ast.Constant) and isinstance(default.value, (bool, int, float, str, type(None)))
    if not plain or field.startswith("_") or scope.program.trace.config_style != "object":
        return []
    assert isinstance(default, ast.Constant)
    same = ast.Is() if default.value is None or isinstance(default.value, bool) else ast.Eq()
    test = ast.Compare(ast.Attribute(holder(scope, n.args[0]), field, ast.Load()), [same], [default])
    taken = Assumption(scope.where(n), ast.unparse(n), True, "construction", ast.unparse(test))
    scope.work.unset |= {(key, field): default.value for key in config_keys(scope, n.args[0])}
    return [Demand("assume", taken)]


def holds(scope: Scope, node: ast.AST, field: str) -> bool:
    """Whether the saved form of every config that an expression was has a field."""
    trace = scope.program.trace
    for key in config_keys(scope, node):
        held = trace.configs.get(key or trace.root_config)
        saved = held.saved if held is not None else tuple(m.config for m in trace.models)
        if not any(field in s for s in saved):
            return False
    return True


def title(trace: Trace, key: str) -> str:
    """The dataclass of a config class in the port."""
    return trace.configs[key].name if key else ROOT


def holder(scope: Scope, node: ast.AST) -> ast.expr:
    """The name that stands for the dataclass (or dataclasses) of a config object in a check."""
    keys = config_keys(scope, node)
    if keys == ("",):
        return ast.Name(HOLDER, ast.Load())
    return ast.Name(f"{HOLDER}__" + _SEPARATOR.join(title(scope.program.trace, k) for k in keys), ast.Load())


def holders(check: str) -> set[tuple[str, ...]]:
    """Which dataclasses a check reads: one tuple of titles for each name that stands for some."""
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(check, mode="eval")):
        if isinstance(node, ast.Name) and node.id == HOLDER:
            found.add((ROOT,))
        elif isinstance(node, ast.Name) and node.id.startswith(f"{HOLDER}__"):
            found.add(tuple(node.id.removeprefix(f"{HOLDER}__").split(_SEPARATOR)))
    return found


def seen_by(trace: Trace, check: str) -> dict[str, str]:
    """A check as each dataclass that has to make it says it; empty where no single one can.

    What reads one dataclass is checked there. What reads several is checked by the root, through the field that
    holds each, where each is held once.
    """
    read = holders(check)
    if len(read) == 1:
        titles = read.pop()
        name = HOLDER if titles == (ROOT,) else f"{HOLDER}__{_SEPARATOR.join(titles)}"
        return {t: _renamed(check, {name: HOLDER}) for t in titles}
    paths: dict[str, str] = {}
    for titles in read - {(ROOT,)}:
        held = [c for c in trace.configs.values() if c.name == titles[0]]
        if len(titles) > 1 or len(held) != 1 or len(held[0].paths) != 1:
            return {}
        paths[f"{HOLDER}__{titles[0]}"] = f"{HOLDER}.{held[0].paths[0]}"
    return {ROOT: _renamed(check, paths)}


def _renamed(check: str, names: dict[str, str]) -> str:
    tree = ast.parse(check, mode="eval").body

    class Rename(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.parse(names.get(node.id, node.id), mode="eval").body

    return ast.unparse(Rename().visit(tree))
