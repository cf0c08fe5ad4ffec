"""What a function's own text asks or reads beside its arguments, where another text was proved to give its numbers.

A proof on recorded calls says nothing about a flag that was the same in all of them: `if module.flag: ...` must be
asked of the config, or at run time, before the shorter text may stand for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import raise_error
from portwright.codegen.trace import PLAIN_KINDS

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope


def tests_in(tree: ast.AST) -> Iterator[ast.expr]:
    """Every test that chooses code or a value."""
    for n in ast.walk(tree):
        if isinstance(n, (ast.If, ast.IfExp, ast.While)):
            yield n.test
        elif isinstance(n, ast.comprehension):
            yield from n.ifs


def guarded(scope: Scope, made: ast.stmt, proved: frozenset[str]) -> list[ast.stmt] | None:
    """The proved statement behind what it takes for granted; None where that cannot be asked.

    `proved`: attributes of the first parameter that the statement itself reads.
    """
    from portwright.codegen.emit.prune import decide

    reads = own_reads(scope)
    asked: list[ast.AST] = []
    checks: list[ast.stmt] = []
    for test in tests_in(scope.tree):
        asked += ast.walk(test)
        if len(scope.truth(test)) != 1 or not any(n in reads for n in ast.walk(test)):
            continue
        decision = decide(scope, test)
        ask(made, *decision.demands)
        if decision.test is not None or (decision.assumption is None and decision.value is not None):
            continue
        assert decision.assumption is not None
        if decision.guard is not None:
            text = f"not ported: {ast.unparse(test)} was seen one way only"
            checks.append(ast.If(decision.guard, [raise_error("NotImplementedError", text)], []))
        elif decision.assumption.checked == "construction":
            ask(made, Demand("assume", decision.assumption))
        else:
            return None
    if not all(n in asked or is_harmless(scope, n, proved) for n in reads):
        return None
    return [*checks, made]


def own_reads(scope: Scope) -> list[ast.Attribute]:
    """The reads of plain values that the first parameter holds; of other arguments, every recorded call tells."""
    found = []
    for n in scope.function.nodes:
        own = isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == scope.params[0]
        if own and scope.kinds(n) and scope.kinds(n) <= PLAIN_KINDS and n.attr != "training":  # type: ignore[attr-defined]
            found.append(n)
    return found  # type: ignore[return-value]


def is_harmless(scope: Scope, node: ast.Attribute, proved: frozenset[str]) -> bool:
    """What the proved text reads too, or a whole number handed to a function: how often a head is repeated."""
    if node.attr in proved:
        return True
    above = scope.function.parents.get(node)
    return isinstance(above, ast.Call) and node in above.args and scope.kinds(node) == {"int"}
