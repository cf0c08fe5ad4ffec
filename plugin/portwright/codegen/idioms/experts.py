"""Loops over the experts that tokens were routed to, as products that gather each token's own experts.

The loop visits every expert that was chosen, gathers its tokens, and adds the weighted results back; which tokens
those are depends on data. In the port a value of the loop keeps all tokens and all their places, (tokens, k, width),
and a matrix of one expert becomes the stack of them. That is right if the body works on the last axis only; each
operation is checked for that, and anything else is no such loop.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.program import Function
from portwright.codegen.quote import plain, quote, stores

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

HIT = "torch.greater(MASK.sum(dim=(-1, -2)), 0).nonzero()"
# torch functions and methods that treat each element, or each row of the last axis, alone
ELEMENTWISE = frozenset(
    [
        *("sigmoid", "silu", "gelu", "relu", "tanh", "clamp", "clip", "minimum", "maximum", "mul", "add", "sub", "div"),
        *("exp", "square", "pow", "to", "float", "type_as", "softplus", "type", "neg", "abs", "sqrt", "rsqrt"),
    ]
)


class Translated(ast.expr):
    """A source expression that has its tree in the port already."""

    _fields = ()

    def __init__(self, source: ast.expr, tree: ast.expr) -> None:
        super().__init__()
        self.tree = tree
        self.number = getattr(source, "number", -1)
        ast.copy_location(self, source)


@dataclass(frozen=True)
class Loop:
    """The names that a loop over experts goes by."""

    expert: str
    place: str  # which of a token's k choices
    token: str
    mask: str
    hit: str
    index: ast.expr  # (tokens, k)
    result: str
    dtype: ast.expr  # of the result
    node: ast.For


def loop_of(function: Function) -> Loop | None:
    """The loop over experts at the top of a function, None where there is none of this form."""
    loops = [s for s in function.tree.body if isinstance(s, ast.For)]
    if len(loops) != 1 or not (isinstance(loops[0].target, ast.Name) and isinstance(loops[0].iter, ast.Name)):
        return None
    node, expert, hit = loops[0], loops[0].target.id, loops[0].iter.id
    where = next((n for n in ast.walk(node) if is_unpacked_where(n)), None)
    if where is None:
        return None
    place, token = [e.id for e in where.targets[0].elts]  # type: ignore[attr-defined]
    mask = where.value.args[0].value.id  # type: ignore[attr-defined]
    one_hot = one_hot_of(function, mask, hit)
    added = [n for n in ast.walk(node) if isinstance(n, ast.Call) and is_method(n, "index_add_")]
    if one_hot is None or len(added) != 1 or not isinstance(added[0].func.value, ast.Name):  # type: ignore[attr-defined]
        return None
    result = added[0].func.value.id  # type: ignore[attr-defined]
    dtype = dtype_of(function, result)
    if dtype is None or function.seen(one_hot).ranks != {2}:
        return None
    return Loop(expert, place, token, mask, hit, one_hot, result, dtype, node)


def is_method(n: ast.Call, name: str) -> bool:
    return isinstance(n.func, ast.Attribute) and n.func.attr == name


def is_unpacked_where(n: ast.AST) -> bool:
    """`place, token = torch.where(mask[expert])`."""
    if not (isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Tuple) and isinstance(n.value, ast.Call)):
        return False
    names = [e for e in n.targets[0].elts if isinstance(e, ast.Name)]
    args = n.value.args
    if len(names) != 2 or len(n.targets[0].elts) != 2 or len(args) != 1 or n.value.keywords:
        return False
    return ast.unparse(n.value.func) == "torch.where" and is_item_of_name(args[0])


def is_item_of_name(n: ast.AST) -> bool:
    return isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name) and isinstance(n.slice, ast.Name)


def one_hot_of(function: Function, mask: str, hit: str) -> ast.expr | None:
    """The indices that the mask is made of, where it is (experts, k, tokens) and `hit` lists the experts in it."""
    made = [n for n in ast.walk(function.tree) if isinstance(n, ast.Assign) and stores(n) & {mask, hit}]
    text = "; ".join(ast.unparse(n.value) for n in made if mask in stores(n))
    hits = [ast.unparse(n.value).replace(f"{mask}.", "MASK.") for n in made if hit in stores(n)]
    if text.count(".permute(2, 1, 0)") != 1 or text.count("one_hot(") != 1 or len(hits) != 1:
        return None
    if hits[0] not in (HIT, f"{HIT}.squeeze(-1)", f"{HIT}.squeeze()"):
        return None
    calls = [
        n for m in made for n in ast.walk(m) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("one_hot")
    ]
    return calls[0].args[0] if calls and isinstance(calls[0].args[0], ast.Name) else None


def dtype_of(function: Function, result: str) -> ast.expr | None:
    """The dtype of the zeros that the loop adds to."""
    made = [n for n in function.tree.body if isinstance(n, ast.Assign) and result in stores(n)]
    zeros = made[0].value if made else None
    if not (isinstance(zeros, ast.Call) and ast.unparse(zeros.func) == "torch.zeros_like"):
        return None
    given = [k.value for k in zeros.keywords if k.arg == "dtype"]
    if given:
        return given[0]
    return ast.copy_location(ast.Attribute(zeros.args[0], "dtype", ast.Load()), zeros)


class _Vectorise(ast.NodeTransformer):
    """Rewrites the loop's body for all tokens and places at once; raises HoleError on what does not allow that."""

    def __init__(self, scope: Scope, loop: Loop) -> None:
        self.scope = scope
        self.loop = loop
        self.index = scope.expr(loop.index)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        names = [i.id for i in index if isinstance(i, ast.Name)]
        if names == [self.loop.token] and len(index) == 1 and self.scope.rank(node.value) == 2:
            return Translated(node, quote("x[:, None]", x=self.scope.expr(node.value)))
        by_place = names == [self.loop.token, self.loop.place] and self.scope.rank(node.value) == 2
        if by_place and len(index) == 3 and isinstance(index[2], ast.Constant) and index[2].value is None:
            return Translated(node, quote("x[..., None]", x=self.scope.expr(node.value)))
        if names == [self.loop.expert] and len(index) == 1 and self.scope.rank(node.value) == 2:
            return Translated(node, quote("x[i]", x=self.scope.expr(node.value), i=self.index))
        if isinstance(index[0], ast.Constant) and index[0].value is Ellipsis and len(index) == 2:
            return self.generic_visit(node)
        raise HoleError("an item of a value in a loop over experts")

    def stack(self, node: ast.expr) -> ast.expr | None:
        """The stacked matrices behind `weight[expert]`."""
        own = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and node.slice.id == self.loop.expert
        return node.value if own and self.scope.rank(node.value) == 3 else None  # type: ignore[attr-defined]

    def product(self, node: ast.expr, x: ast.expr, weight: ast.expr) -> ast.expr:
        tree = quote("expert_linear(x, w, i)", x=self.scope.expr(self.visit(x)), w=weight, i=self.index)
        return Translated(node, ask(tree, Demand("snippet", "expert_linear")))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        stack = self.stack(node.right)
        if isinstance(node.op, ast.MatMult):
            if stack is None:
                raise HoleError("a matrix product in a loop over experts that is not by an expert's weight")
            return self.product(node, node.left, self.scope.expr(stack))
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        names = {c.name for c in self.scope.seen(node).callees}
        if names == {"linear"} and len(node.args) in (2, 3) and not node.keywords:
            stack = self.stack(node.args[1])
            if stack is None:
                raise HoleError("a linear map in a loop over experts that is not by an expert's weight")
            made = self.product(node, node.args[0], quote("w.swapaxes(-1, -2)", w=self.scope.expr(stack)))
            if len(node.args) == 2:
                return made
            bias = self.scope.expr(self.visit(node.args[2]))
            return Translated(node, ast.BinOp(self.scope.expr(made), ast.Add(), bias))
        if names == {"matmul"} and len(node.args) == 2 and self.stack(node.args[1]) is not None:
            stacked = self.stack(node.args[1])
            assert stacked is not None
            return self.product(node, node.args[0], self.scope.expr(stacked))
        check_last_axis(self.scope, node)
        node.args = [self.visit(a) for a in node.args]
        if isinstance(node.func, ast.Attribute) and self.scope.kinds(node.func.value) == {"tensor"}:
            node.func.value = self.visit(node.func.value)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == self.loop.result and node.attr == "dtype":
            return Translated(node, self.scope.expr(self.loop.dtype))
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in (self.loop.expert, self.loop.place, self.loop.token, self.loop.mask):
            raise HoleError(f"{node.id} in a loop over experts")
        return node


def check_last_axis(scope: Scope, node: ast.Call, depth: int = 0) -> None:
    """Raises HoleError unless a call treats each row of the last axis alone."""
    for callee in scope.seen(node).callees:
        if callee.torch and callee.name in ELEMENTWISE:
            continue
        if callee.torch and callee.name in ("chunk", "split", "unbind", "softmax"):
            dims = [plain(k.value) for k in node.keywords if k.arg == "dim"]
            if dims == [-1]:
                continue
        paths = scope.seen(node.func).paths
        if callee.sort == "module" and paths and all(scope.program.modules[p].response for p in paths):
            continue
        if callee.fid and depth < 3 and is_row_wise(scope, callee.fid, depth):
            continue
        raise HoleError(f"{callee.name} in a loop over experts")


def is_row_wise(scope: Scope, fid: str, depth: int) -> bool:
    """Whether a function of tensors works on the last axis only."""
    inner = scope.work.scope(fid)
    for n in ast.walk(inner.tree):
        if isinstance(n, ast.Subscript) and inner.is_tensor(n.value):
            parts = n.slice.elts if isinstance(n.slice, ast.Tuple) else []
            if not (len(parts) == 2 and isinstance(parts[0], ast.Constant) and parts[0].value is Ellipsis):
                return False
        if isinstance(n, ast.Call) and inner.seen(n).n:
            check_last_axis(inner, n, depth + 1)
        if isinstance(n, ast.Attribute) and n.attr in ("shape", "T", "mT") and inner.is_tensor(n.value):
            return False
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.MatMult):
            return False
    return True


def experts_source(scope: Scope, loop: Loop) -> list[ast.stmt]:
    """The function's statements with the loop unrolled over tokens and places. Raises HoleError where it cannot be."""
    out: list[ast.stmt] = []
    for s in scope.tree.body:
        if s is loop.node:
            out += loop_body(scope, loop)
        elif not is_bookkeeping(s, loop):
            out.append(s)
    return out


def is_bookkeeping(s: ast.stmt, loop: Loop) -> bool:
    """Whether a statement only says which experts have work, or makes the zeros that the loop adds to."""
    bound = stores(s)
    if isinstance(s, (ast.With, ast.Assign)) and bound and bound <= {loop.mask, loop.hit}:
        return True
    return isinstance(s, ast.Assign) and bound == {loop.result} and s.lineno < loop.node.lineno


def loop_body(scope: Scope, loop: Loop) -> list[ast.stmt]:
    out: list[ast.stmt] = []
    vectorise = _Vectorise(scope, loop)
    for s in copy.deepcopy(loop.node.body):
        skipped = isinstance(s, ast.If) and len(s.body) == 1 and isinstance(s.body[0], ast.Continue) and not s.orelse
        if skipped or (isinstance(s, ast.Assign) and stores(s) <= {loop.expert, loop.place, loop.token}):
            continue
        if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and is_method(s.value, "index_add_"):
            dim, token, value = s.value.args
            if plain(dim) != 0 or not (isinstance(token, ast.Name) and token.id == loop.token):
                raise HoleError("a loop over experts that adds to something else than the tokens")
            total = quote("y.sum(axis=1)", y=scope.expr(vectorise.visit(value)))
            s = ast.copy_location(ast.Assign([ast.Name(loop.result, ast.Store())], Translated(value, total)), s)
        elif isinstance(s, ast.Assign):
            s.value = vectorise.visit(s.value)
        else:
            raise HoleError("a statement in a loop over experts")
        out.append(s)
    return out
