"""Functions that are handed on rather than called."""

from __future__ import annotations

import ast

from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import UNKNOWN, VARIES, Demand, ask


def function_value(scope: Scope, fid: str) -> ast.expr:
    """A function's name as a value."""
    return ask(scope.work.function_name(scope, fid), *as_value(scope, fid))


def as_value(scope: Scope, fid: str) -> list[Demand]:
    """What a function will be given is not known: none of its parameters is taken to be one value."""
    function = scope.program.functions[fid]
    free = [q for q in function.parameters if q in function.trace.params]
    varies = [d for q in free for d in (Demand("arg", fid, q, VARIES), Demand("origin", fid, q, UNKNOWN))]
    return [Demand("call", fid), *varies]
