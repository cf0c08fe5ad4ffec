"""Stacked experts as mlx-lm's `SwitchLinear`, which `mlx_lm.convert -q` knows how to quantize."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portwright.codegen.quote import quote

if TYPE_CHECKING:
    from portwright.codegen.emit.work import Work

CALL = "expert_linear"
SNIPPET = '''def expert_linear(x, layer, index):
    """Each token through its own k experts: x of (tokens, 1 or k, in)."""
    return layer(x[..., None, :], index).squeeze(-2)
'''


@dataclass(frozen=True)
class Stack:
    """The attribute of a class that holds its experts' matrices."""

    transposed: bool  # kept as (experts, in, out), where mlx-lm keeps (experts, out, in)


Stacks = Mapping[tuple[str, str], Stack]  # by class and attribute in the port


def stacks(work: Work) -> Stacks:
    """Every stack that experts are called by, if each is made as such and read in no other way; else none."""
    if work.program.runtime != "mlx-lm":
        return {}
    found: dict[tuple[str, str], Stack] = {}
    for fid, done in work.done.items():
        owner = work.program.functions[fid].trace.owner
        for call in calls(done.body):
            attr, transposed = weight_of(call.args[1])
            one = Stack(transposed)
            if not attr or found.setdefault((owner, attr), one) != one:
                return {}
    for owner, attr in found:
        bodies = {f: d.body for f, d in work.done.items() if work.program.functions[f].trace.owner == owner}
        statements = [s for body in bodies.values() for s in body]
        reads = sum(is_own(n, attr, ast.Load) for s in statements for n in ast.walk(s))
        used = sum(weight_of(c.args[1])[0] == attr for c in calls(statements))
        if reads != used or len([s for s in statements if shape_of(s, attr) is not None]) != 1:
            return {}
    return found


def calls(body: Iterable[ast.stmt]) -> list[ast.Call]:
    nodes = (n for s in body for n in ast.walk(s))
    return [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == CALL]


def weight_of(node: ast.expr) -> tuple[str, bool]:
    """The attribute of self that a weight is, "" for any other, and whether it is (experts, in, out)."""
    held, transposed = node, True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "swapaxes":
        held, transposed = node.func.value, False
    if isinstance(held, ast.Attribute) and isinstance(held.value, ast.Name) and held.value.id == "self":
        return held.attr, transposed
    return "", False


def is_own(node: ast.AST, attr: str, kind: type) -> bool:
    """Whether a node reads (or stores) `self.<attr>`."""
    own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return own and node.attr == attr and isinstance(node.ctx, kind)  # type: ignore[attr-defined]


def shape_of(s: ast.stmt, attr: str) -> list[ast.expr] | None:
    """The sizes in `self.<attr> = mx.zeros((experts, a, b))`."""
    if not (isinstance(s, ast.Assign) and is_own(s.targets[0], attr, ast.Store) and isinstance(s.value, ast.Call)):
        return None
    args = s.value.args
    made = ast.unparse(s.value.func) == "mx.zeros" and len(args) == 1 and isinstance(args[0], ast.Tuple)
    return args[0].elts if made and len(args[0].elts) == 3 else None  # type: ignore[attr-defined]


def switched(work: Work, cls: str, node: ast.ClassDef) -> ast.ClassDef:
    """A class with its stacks made and called as layers."""
    for (owner, attr), stack in work.stacks.items():
        if owner != cls:
            continue
        for n in ast.walk(node):
            shape = shape_of(n, attr) if isinstance(n, ast.stmt) else None
            if shape is not None:
                assert isinstance(n, ast.Assign)
                experts, a, b = shape
                into, out = (a, b) if stack.transposed else (b, a)
                n.value = quote("SwitchLinear(i, o, n, bias=False)", i=into, o=out, n=experts)
        for call in calls(node.body):
            if weight_of(call.args[1])[0] == attr:
                call.args[1] = quote(f"self.{attr}")
    return node


def stack_of(work: Work, cls: str, attr: str) -> Stack | None:
    """The stack that an attribute of a class (or of a base of it) is."""
    return next((s for c in work.program.lineage(cls) if (s := work.stacks.get((c, attr))) is not None), None)


def sanitizing(work: Work) -> list[str]:
    """Lines of `sanitize` that make a library's stacks the weights of layers."""
    lines = []
    for transposed in (False, True):
        names = sorted({attr for (_, attr), s in work.stacks.items() if s.transposed is transposed})
        if names:
            shown = ", ".join(f'".{name}"' for name in names)
            value = "v.swapaxes(-1, -2) if k.endswith(stacked) else v" if transposed else "v"
            lines += [
                f"    stacked = ({shown},)",
                f'    weights = {{f"{{k}}.weight" if k.endswith(stacked) else k: {value} for k, v in weights.items()}}',
            ]
    return lines
