"""Trees as text: comments where they belong, and nothing wider than a person would leave it."""

from __future__ import annotations

import ast
import re
import textwrap

WIDTH = 88  # what black formats to


def unparsed(node: ast.AST) -> str:
    """Source text, with marked strings as comments."""
    text = ast.unparse(ast.fix_missing_locations(node))
    lines: list[str] = []
    block: list[str] = []  # comments that stand together
    for line in text.splitlines():
        match = re.match(r"^(\s*)__(above|beside)__\((.*)\)$", line)
        if match is not None and match[2] == "above":
            block.append(ast.literal_eval(match[3]))
            continue
        indent = line[: len(line) - len(line.lstrip())]
        lines += comment_lines(block, indent)
        block = []
        if match is not None:
            beside(lines, ast.literal_eval(match[3]))
        elif re.match(r'\s+"""', line):
            lines += docstring(line.strip().strip('"'), indent)
        elif line.strip() or not (lines and lines[-1].startswith("class ")):
            lines.append(pretty(line))
    return "\n".join(lines)


def docstring(text: str, indent: str) -> list[str]:
    """A docstring in as many lines as it needs."""
    if len(indent) + len(text) + 6 <= WIDTH:
        return [f'{indent}"""{text}"""']
    first, *others = textwrap.wrap(f'"""{text}', WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return [f"{indent}{part}" for part in (first, *others, '"""')]


def beside(lines: list[str], comment: str) -> None:
    """Put a comment behind the last line; above it, where black would break the line for it."""
    if len(lines[-1]) + len(comment) + 4 <= WIDTH:
        lines[-1] += f"  # {comment}"
        return
    indent = lines[-1][: len(lines[-1]) - len(lines[-1].lstrip())]
    lines[-1:] = [*comment_lines([comment], indent), lines[-1]]


def comment_lines(block: list[str], indent: str) -> list[str]:
    """Comments at an indent; what is too wide runs on into the next line, if that goes on with the sentence."""
    width = WIDTH - len(indent) - 2
    out: list[str] = []
    rest = ""
    for text in block:
        if rest and text[:1].islower():
            text = f"{rest} {text}"
        elif rest:
            out.append(rest)
        wrapped = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [text]
        rest = wrapped.pop() if len(wrapped) > 1 else ""
        out += wrapped
    return [f"{indent}# {text}" for text in ([*out, rest] if rest else out)]


def pretty(line: str) -> str:
    """What `ast.unparse` puts in parentheses and a person would not."""
    line = re.sub(r"\*\* \((-[\d.]+)\)", r"**\1", line)
    match = re.match(r"^(\s*)(return|[\w.]+(?:, [\w.]+)+ =) \((.*)\)$", line)
    if match is not None:
        bare = f"{match[2]} {match[3]}"
        try:
            same = ast.dump(ast.parse(bare)) == ast.dump(ast.parse(line.strip()))
        except SyntaxError:
            same = False
        if same:
            return match[1] + bare
    return line


def narrowed(text: str) -> str:
    """A formatted file with texts that are wider than the page in several pieces."""
    out = "".join(pieces(line) for line in text.splitlines(keepends=True))
    return out if ast.dump(ast.parse(out)) == ast.dump(ast.parse(text)) else text


def pieces(line: str) -> str:
    """A line that is one long text, and nothing else, as several lines."""
    match = re.match(r'^(\s+)(f?)"(?!"")(.*)"(,?)\n$', line)
    if match is None or len(line) <= WIDTH + 1 or "\\" in match[3]:
        return line
    indent, prefix, text, end = match.groups()
    parts = [""]
    for word in re.findall(r"(?:\{[^{}]*\}|\S)+\s*|\s+", text):
        if parts[-1] and len(indent) + len(prefix) + len(parts[-1] + word.rstrip()) + 3 > WIDTH:
            parts.append("")
        parts[-1] += word
    shown = [f'{indent}{prefix if "{" in p or "}" in p else ""}"{p}"' for p in parts]
    return "\n".join(shown) + f"{end}\n"
