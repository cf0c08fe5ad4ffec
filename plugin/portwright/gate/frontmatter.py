"""Read the YAML frontmatter of a SKILL.md: the small part of YAML that such files use, and a clear no to the rest.

Text values (plain, quoted, `|` and `>` blocks), one level of nested keys, and comments. pre-commit installs this
package for the hooks, so it does not depend on a YAML library.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_KEY = re.compile(r"(?P<key>[A-Za-z0-9_][A-Za-z0-9_. -]*?)\s*:(?:\s+(?P<value>.*))?$")
_NOT_TEXT = re.compile(
    r"(?i:null|~|true|false|yes|no|on|off|[-+]?\.inf|\.nan)|[-+]?(\d[\d_]*(\.[\d_]*)?|\.\d+)([eE][-+]?\d+)?"
    r"|0[xob][0-9a-fA-F_]+|\d{4}-\d\d?-\d\d?([Tt ].*)?"
)
_BLOCK = re.compile(r"[|>][+-]?\d?[+-]?")


@dataclass(frozen=True)
class Value:
    """One value: its text, the line it begins on, and whether YAML takes it for text (1.0 and true it does not)."""

    text: str
    line: int
    is_text: bool = True


@dataclass(frozen=True)
class Frontmatter:
    """Keys in order, a nested key holding its own; `body` is the Markdown after it, `body_line` its first line."""

    keys: dict[str, Value | dict[str, Value]]
    lines: dict[str, int]
    body: str
    body_line: int


class FrontmatterError(ValueError):
    """The text has no frontmatter, or one beyond the part of YAML that is read here; `line` says where."""

    def __init__(self, line: int, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.line, self.problem, self.hint = line, problem, hint


def read_frontmatter(text: str) -> Frontmatter:
    """Read the block between the two `---` lines; raises FrontmatterError at the first thing that is wrong."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        raise FrontmatterError(1, "it does not begin with the line ---", "begin with ---, name: …, description: …, ---")
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise FrontmatterError(1, "the frontmatter has no closing line ---", "close it with ---")
    parser = _Parser(lines[:end])
    keys, numbers = parser.mapping()
    return Frontmatter(keys, numbers, "\n".join(lines[end + 1 :]), end + 2)


class _Parser:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 1  # line 0 is ---

    def mapping(self) -> tuple[dict[str, Value | dict[str, Value]], dict[str, int]]:
        keys: dict[str, Value | dict[str, Value]] = {}
        numbers: dict[str, int] = {}
        while (line := self._next()) is not None:
            if _indent(line):
                raise FrontmatterError(self.at, "a line is indented that belongs to no key", "begin it at the margin")
            key, value, number = self._pair(line)
            if key in keys:
                raise FrontmatterError(number, f"the key {key!r} stands twice")
            numbers[key] = number
            nested = value is None and self._peek_indent() > 0
            keys[key] = self._nested() if nested else self._value(value, number, 0)
        return keys, numbers

    def _nested(self) -> dict[str, Value]:
        inner: dict[str, Value] = {}
        margin = self._peek_indent()
        while (line := self._peek()) is not None and _indent(line) > 0:
            self._next()
            if _indent(line) != margin:
                raise FrontmatterError(self.at, "its indentation fits no key above it", f"indent it by {margin} spaces")
            key, value, number = self._pair(line.strip())
            if key in inner:
                raise FrontmatterError(number, f"the key {key!r} stands twice")
            if value is None and self._peek_indent() > margin:
                raise FrontmatterError(number, "keys nest deeper than one level here", "write its value on this line")
            inner[key] = self._value(value, number, margin)
        return inner

    def _pair(self, line: str) -> tuple[str, str | None, int]:
        """Split `key: value`; the value is None where the line has none."""
        found = _KEY.fullmatch(line.strip())
        if found is None:
            raise FrontmatterError(self.at, f"expected `key: value`, found {line.strip()[:60]!r}")
        value = (found["value"] or "").strip()
        return found["key"], None if not value or value.startswith("#") else value, self.at

    def _value(self, value: str | None, number: int, margin: int) -> Value:
        if value is None:
            return Value("", number, is_text=False)
        if _BLOCK.fullmatch(value.split(" #")[0].strip()):
            return Value(self._block(value, margin), number)
        if value[0] in "'\"":
            return Value(self._quoted(value, number, margin), number)
        if value[0] in "[]{}&*!%@`|>,?" or value.startswith(("- ", "? ")):
            raise FrontmatterError(number, f"a value cannot begin with {value[0]!r} here", "put the value in quotes")
        words = [value.split(" #")[0].strip()]
        while (line := self._peek()) is not None and _indent(line) > margin:
            self._next()
            words.append(line.split(" #")[0].strip())
        text = " ".join(words)
        if re.search(r":(\s|$)", text):
            raise FrontmatterError(number, "its value holds a colon and a space", "put the value in quotes")
        return Value(text, number, is_text=not _NOT_TEXT.fullmatch(text))

    def _block(self, header: str, margin: int) -> str:
        taken = []
        while self.at < len(self.lines) and (not self.lines[self.at].strip() or _indent(self.lines[self.at]) > margin):
            taken.append(self.lines[self.at])
            self.at += 1
        width = min((_indent(line) for line in taken if line.strip()), default=0)
        stripped = [line[width:].rstrip() for line in taken]
        if header[0] == "|":
            return "\n".join(stripped).strip("\n")
        return "\n".join(" ".join(part.split("\n")) for part in "\n".join(stripped).strip("\n").split("\n\n"))

    def _quoted(self, value: str, number: int, margin: int) -> str:
        quote = value[0]
        pattern = r"'((?:[^']|'')*)'" if quote == "'" else r'"((?:[^"\\]|\\.)*)"'
        while True:
            found = re.match(pattern, value)
            if found is not None:
                rest = value[found.end() :].strip()
                if rest and not rest.startswith("#"):
                    raise FrontmatterError(number, f"text follows the closing quote: {rest[:40]!r}")
                return found[1].replace("''", "'") if quote == "'" else _unescape(found[0], number)
            line = self._peek()
            if line is None or _indent(line) <= margin:
                raise FrontmatterError(number, "the quote is not closed", f"close it with {quote}")
            self._next()
            value += " " + line.strip()

    def _peek(self) -> str | None:
        """Give the next line that is neither empty nor a comment, without passing it."""
        at = next((n for n in range(self.at, len(self.lines)) if _counts(self.lines[n])), None)
        return None if at is None else self.lines[at]

    def _peek_indent(self) -> int:
        line = self._peek()
        return 0 if line is None else _indent(line)

    def _next(self) -> str | None:
        """Pass the next line that counts; `at` is then its 1-based number."""
        while self.at < len(self.lines) and not _counts(self.lines[self.at]):
            self.at += 1
        if self.at >= len(self.lines):
            return None
        self.at += 1
        line = self.lines[self.at - 1]
        if "\t" in line[: _indent(line)]:
            raise FrontmatterError(self.at, "a tab indents it", "use spaces")
        return line


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _unescape(quoted: str, number: int) -> str:
    try:
        return str(json.loads(quoted, strict=False))  # YAML's common escapes are JSON's
    except ValueError:
        raise FrontmatterError(number, "an escape in this text is not known", "use single quotes") from None
