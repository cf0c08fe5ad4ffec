"""Functions and classes of layers that are handed on rather than called, and tensors that a Python module holds."""

from __future__ import annotations

import ast
from typing import Any

from portwright.codegen.emit.scope import DTYPES, Scope
from portwright.codegen.facts.record import UNKNOWN, VARIES, Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.idioms.activations import KNOWN
from portwright.codegen.quote import literal, quote
from portwright.codegen.translate.constructors import CONSTRUCTORS


def function_value(scope: Scope, fid: str) -> ast.expr:
    """A function's name as a value."""
    return ask(scope.work.function_name(scope, fid), *as_value(scope, fid))


def as_value(scope: Scope, fid: str) -> list[Demand]:
    """What a function will be given is not known: none of its parameters is taken to be one value."""
    function = scope.program.functions[fid]
    free = [q for q in function.parameters if q in function.trace.params]
    varies = [d for q in free for d in (Demand("arg", fid, q, VARIES), Demand("origin", fid, q, UNKNOWN))]
    return [Demand("call", fid), *varies]


def tensors(value: dict[str, list[Any]] | list[Any]) -> ast.expr:
    """A small tensor that a Python module holds, as its type's name and its numbers; or a dict of such."""
    if isinstance(value, dict):
        return ast.Dict([literal(k) for k in value], [tensors(v) for v in value.values()])
    kind, numbers = value
    return quote("mx.array(x, dtype=d)", x=literal(numbers), d=quote(f"mx.{DTYPES.get(kind, kind)}"))


def layer_class(scope: Scope, node: ast.Attribute) -> ast.expr | None:
    """`nn.ReLU`, `nn.LayerNorm`: a class of layers as a value: MLX's that stands for it.

    Raises HoleError where types are compared with it, and another of torch's layers in the model becomes the same.
    """
    if not isinstance(node.value, ast.Name) or (ref := scope.global_(node.value.id)) is None:
        return None
    if ref.name != "torch.nn":
        return None
    row = CONSTRUCTORS.get(node.attr)
    if row is not None and is_compared(scope, node):
        alike = {title for title, other in CONSTRUCTORS.items() if other.layer == row.layer} - {node.attr}
        if any(scope.program.torch_base(cls) in alike for cls in scope.program.instances):
            raise HoleError(f"the type {node.attr}, which is {row.layer} like another layer of the model")
    return layer_title_of(node.attr)


def is_compared(scope: Scope, node: ast.expr) -> bool:
    """Whether types are compared with a class, by itself or as one of a tuple."""
    outer = scope.function.parents.get(node)
    while isinstance(outer, ast.Tuple):
        outer = scope.function.parents.get(outer)
    asks = isinstance(outer, ast.Call) and ast.unparse(outer.func) in ("isinstance", "issubclass")
    return asks or isinstance(outer, ast.Compare)


def layer_title_of(name: str) -> ast.expr | None:
    """MLX's class for one of torch.nn's, None where there is none."""
    named = {text.removesuffix("()") for _, text, _ in KNOWN} | {"nn.Identity"}
    title, snippet = f"nn.{name}", ""
    if name in CONSTRUCTORS:
        title, snippet = CONSTRUCTORS[name].layer, CONSTRUCTORS[name].snippet
    if snippet == title:
        return ask(quote(title), Demand("snippet", snippet))
    return quote(title) if title in named or (name in CONSTRUCTORS and title.startswith("nn.")) else None
