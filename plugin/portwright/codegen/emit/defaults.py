"""Parameters that need not be: always one literal, or taken from the config by a library's decorator."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.emit.provenance import RUN_FIELDS
from portwright.codegen.quote import stores
from portwright.codegen.trace import Plain, Seen

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

# Arguments that a library's decorators take and that change no output, caches being none.
NO_OUTPUT = ("return_dict", "use_cache")
# Decorator -> the arguments that it fills from the config field of the same name.
FILLED = {
    "transformers.utils.generic.merge_with_config_defaults": frozenset(
        {"vision_feature_layer", "vision_feature_select_strategy", "vision_aspect_ratio"}
    )
}


def fold_parameters(scope: Scope) -> None:
    """Parameters that were always one value, and that every call site gives as that literal."""
    fid, trace = scope.trace.fid, scope.trace
    explicit_root = scope.is_root_init and scope.program.trace.config_style != "object"
    for q in scope.params:
        seen = trace.params.get(q)
        if (read := from_config(scope, q)) is not None:
            scope.from_config[q] = read
            continue
        if seen is None or not seen.const or q == scope.self_name or explicit_root:
            continue
        if q in scope.facts.forced.get(fid, frozenset()):
            continue
        value = seen.consts[0]
        unasked = scope.is_root_entry and q not in scope.program.trace.arguments
        if scope.reached_stores.get(q) != 1 and not assigned_only(scope, q, value):
            if (
                scope.facts.args.get((fid, q), frozenset()) <= {repr(value)}
                and (not scope.is_root_init or value == trace.defaults.get(q, ...))
                and (not scope.is_root_entry or unasked or value is None or value == trace.defaults.get(q, ...))
            ):
                scope.entry_literals[q] = (value, first_store(scope, q))
            continue
        if scope.is_root_entry or scope.is_root_init:
            if value is None or unasked or (scope.is_root_init and value == trace.defaults.get(q, ...)):
                scope.folded[q] = value
        elif scope.facts.args.get((fid, q), frozenset()) <= {repr(value), *filled_in(scope, q)}:
            scope.folded[q] = value


def filled_in(scope: Scope, name: str) -> tuple[str, ...]:
    """The literal by which a call site leaves an argument to the config, where only how a model runs depends on it."""
    filled = any(decorator in FILLED for decorator in scope.trace.decorators)
    return ("None",) if filled and name in RUN_FIELDS and scope.program.runtime == "standalone" else ()


def taken_by_decorators(scope: Scope) -> list[str]:
    """Arguments that callers give and the root's decorators take: they ask for outputs, or change none."""
    trace = scope.program.trace
    if scope.tree.args.kwarg is None or scope.program.runtime != "standalone":
        return []
    asking = [q for q in sorted(trace.arguments) if q.removeprefix("output_") in trace.outputs]
    return [q for q in (*NO_OUTPUT, *asking) if q in trace.arguments - set(scope.params)]


def assigned_only(scope: Scope, name: str, value: Plain) -> bool:
    """Whether every statement that binds a name, run or not, gives it this one literal."""
    count = 0
    for s in ast.walk(scope.tree):
        if isinstance(s, ast.Assign) and any(name in stores(t) for t in s.targets):
            if not (all(isinstance(t, ast.Name) for t in s.targets) and isinstance(s.value, ast.Constant)):
                return False
            if type(s.value.value) is not type(value) or s.value.value != value:
                return False
            count += 1
    bound = [n for n in ast.walk(scope.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return count == sum(n.id == name for n in bound)


def first_store(scope: Scope, name: str) -> int:
    """The line of the first assignment of a name that ran; 0 where a loop may come back to it."""
    lines: list[int] = []

    def walk(statements: list[ast.stmt], looped: bool) -> None:
        for s in statements:
            if isinstance(s, ast.If):
                truth = scope.truth(s.test)
                walk(s.body if True in truth else [], looped)
                walk(s.orelse if False in truth else [], looped)
            elif isinstance(s, (ast.For, ast.While)):
                walk([*s.body, *s.orelse], True)
                if isinstance(s, ast.For) and name in stores(s.target):
                    lines.append(0)
            elif isinstance(s, (ast.With, ast.Try)):
                walk(s.body, looped)
            elif name in stores(s):
                lines.append(0 if looped else s.end_lineno or s.lineno)

    walk(scope.tree.body, False)
    return min(lines, default=0)


def from_config(scope: Scope, name: str) -> ast.Attribute | None:
    """`self.config.x` for an argument x that no call site gives; None for any other argument."""
    filled = [names for decorator, names in FILLED.items() if decorator in scope.trace.decorators]
    given = scope.facts.args.get((scope.trace.fid, name), frozenset())
    if not any(name in names for names in filled) or not given <= {"None"} or scope.reached_stores.get(name) != 1:
        return None
    config = own_config(scope)
    seen = scope.trace.params.get(name)
    if config is None or seen is None or "none" in seen.kinds:
        return None
    holder = ast.Attribute(ast.Name(scope.self_name, ast.Load()), "config", ast.Load())
    holder.stands = config  # type: ignore[attr-defined]
    read = ast.Attribute(holder, name, ast.Load())
    read.stands = seen  # type: ignore[attr-defined]
    return read


def own_config(scope: Scope) -> Seen | None:
    """What `self.config` was wherever a method of the class reads it."""
    owners = set(scope.program.lineage(scope.trace.owner))
    for function in scope.program.functions.values():
        if function.trace.owner not in owners or not function.is_method:
            continue
        for n in function.nodes:
            own = isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
            if own and n.attr == "config" and n.value.id == function.parameters[0] and function.seen(n).configs:  # type: ignore[attr-defined]
                return function.seen(n)
    return None
