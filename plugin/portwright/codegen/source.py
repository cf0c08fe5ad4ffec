"""Parse one function's source so that its nodes have the same numbers in every process."""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass

DIRECTIVES = ("fmt:", "type:", "noqa", "ruff:", "pylint:", "pragma", "Copied from", "TODO", "Ignore copy", "!!!")


@dataclass(frozen=True)
class Comments:
    """The comments of one function, by the line that they explain."""

    above: dict[int, tuple[str, ...]]  # line of a statement -> full-line comments right before it
    beside: dict[int, str]  # line -> comment at its end


def parse_function(source: str) -> ast.FunctionDef:
    """The numbered tree: every node has `number`, its place in a walk; annotated assignments are plain ones."""
    tree = ast.parse(textwrap.dedent(source)).body[0]
    assert isinstance(tree, ast.FunctionDef)
    _Unannotate().visit(tree)
    for index, node in enumerate(ast.walk(tree)):
        node.number = index  # type: ignore[attr-defined]
    return tree


class _Unannotate(ast.NodeTransformer):
    """`x: T = e` to `x = e`, and `return a if t else (b,)` to an if, so that no analysis needs to know both.

    It also unshares the parser's context nodes.
    """

    def visit_Return(self, node: ast.Return) -> ast.AST:
        value = node.value
        if not isinstance(value, ast.IfExp) or not any(isinstance(x, ast.Tuple) for x in (value.body, value.orelse)):
            return node
        arms = [ast.copy_location(ast.Return(x), node) for x in (value.body, value.orelse)]
        return ast.copy_location(ast.If(value.test, [arms[0]], [self.visit_Return(arms[1])]), node)  # type: ignore[list-item]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)


# Operators and contexts are one object in all trees of a process: no number of theirs says which place is meant.
SHARED = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)


def number(node: ast.AST) -> int:
    return -1 if isinstance(node, SHARED) else getattr(node, "number", -1)


# Where documentation of single arguments and results begins.
SECTIONS = re.compile(
    r"(args|arguments|parameters|params|returns?|yields?|raises|examples?|inputs?|shapes?)\b.{0,20}:?$", re.I
)
ARGUMENT = re.compile(r"[\w*, `/]+ \(.*|[-*`>\[].*|\w+ ?:.*|.*`\w+`:$")


NOTHING = re.compile(r"The (\S+ )?forward (method|pass)\b.*", re.IGNORECASE)


def summary(node: ast.FunctionDef | ast.ClassDef) -> str:
    """The first paragraph of a docstring in one line, "" where it is about arguments and results, or says nothing."""
    lines: list[str] = []
    for line in (ast.get_docstring(node) or "").strip().splitlines():
        line = line.strip()
        if not line or SECTIONS.fullmatch(line) or (ARGUMENT.fullmatch(line) and not lines):
            break
        lines.append(line)
    text = " ".join(lines)
    return "" if NOTHING.fullmatch(text) else text


def comments_of(source: str) -> Comments:
    """The comments of a function's source; tool directives are left out."""
    above: dict[int, tuple[str, ...]] = {}
    beside: dict[int, str] = {}
    block: list[str] = []
    code_on_line = False
    for token in tokenize.generate_tokens(io.StringIO(textwrap.dedent(source)).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("#").strip()
            if not text or text.startswith(DIRECTIVES):
                continue
            if code_on_line:
                beside[token.start[0]] = text
            else:
                block.append(text)
        elif token.type in (tokenize.NEWLINE, tokenize.NL):
            code_on_line = False
        elif token.type not in (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            if block and not code_on_line:
                above[token.start[0]] = tuple(block)
                block = []
            code_on_line = True
    return Comments(above, beside)


def licence_of(text: str) -> str:
    """The comment block that a file begins with."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("#!") or "coding" in line[:20]:
            continue
        if not line.startswith("#"):
            if lines or line.strip():
                break
            continue
        lines.append(line.rstrip())
    return "\n".join(lines)


LICENCE = re.compile(r"licen[cs]ed under|permission is hereby|redistribution and use", re.IGNORECASE)


def merged_licences(blocks: Iterable[str]) -> tuple[str, ...]:
    """Each licence text once, under all the copyright lines and remarks that stand above it somewhere.

    What a library's own generator says of its file is not true of a port, and stays behind.
    """
    above: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for block in blocks:
        lines = block.splitlines()
        copyrights = [line for line in lines if line.lstrip("# ").lower().startswith("copyright")]
        rest = "\n".join("#" if line in copyrights else line for line in lines)
        paragraphs = [p.strip("\n") for p in re.split(r"(?m)^#[ ]*$", rest) if p.strip()]
        kept = [p for p in paragraphs if "automatically generated" not in p]
        first = next((i for i, p in enumerate(kept) if LICENCE.search(p)), len(kept))
        if copyrights or kept:
            heads, remarks = above.setdefault("\n#\n".join(kept[first:]), ({}, {}))
            heads.update(dict.fromkeys(copyrights))
            remarks.update(dict.fromkeys(kept[:first]))
    out = []
    for licence, (heads, remarks) in above.items():
        out.append("\n#\n".join(part for part in ("\n".join(heads), *remarks, licence) if part))
    return tuple(out)
