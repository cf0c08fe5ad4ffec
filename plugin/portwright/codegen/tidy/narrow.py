"""Once it is known which elements each function still returns, take results apart accordingly."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from portwright.codegen.quote import loads

Used = Callable[[str], frozenset[int]]


def narrowed(body: list[ast.stmt], used: Used, is_single: Callable[[str], bool]) -> list[ast.stmt]:
    """Replace element marks and narrow unpackings; a tuple of one stays a tuple where it is used as a whole."""
    visitor = _Narrow(used, is_single, live_after(body))
    return [visitor.visit(s) for s in body]


def live_after(body: Sequence[ast.stmt]) -> set[str]:
    """Every name that is read anywhere."""
    return {x for s in body for x in loads(s)}


class _Narrow(ast.NodeTransformer):
    def __init__(self, used: Used, is_single: Callable[[str], bool], live: set[str]) -> None:
        self.used = used
        self.is_single = is_single
        self.live = live

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if not hasattr(node, "element"):
            return node
        fids, index = node.element
        elements = sorted(self.used(fids[0]))
        demands = getattr(node, "demands", ())
        if len(elements) <= 1 and not self.is_single(fids[0]):
            node.value.demands = (*getattr(node.value, "demands", ()), *demands)  # type: ignore[attr-defined]
            return node.value
        node.slice = ast.Constant(elements.index(index) if index in elements else index)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if not hasattr(node, "unpacks"):
            return node
        target = node.targets[0]
        if not isinstance(target, ast.Tuple):
            return node
        fids = node.unpacks
        elements = sorted(self.used(fids[0]))
        if len(target.elts) < max(elements, default=0) + 1 or not elements:
            return node
        parts = [target.elts[i] for i in elements]
        del node.unpacks
        if len(parts) == 1 and not self.is_single(fids[0]):
            node.targets = [parts[0]]
        else:
            node.targets = [ast.Tuple([self.shown(p) for p in parts], ast.Store())]
        return node

    def shown(self, part: ast.expr) -> ast.expr:
        """A target that something reads keeps its name."""
        if isinstance(part, ast.Name) and part.id not in self.live:
            return ast.Name("_", ast.Store())
        return part
