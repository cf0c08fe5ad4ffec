"""The line of a key in a TOML text, since the standard parser keeps no positions.

The text has already been parsed by `tomllib`, so this scan trusts its grammar and only keeps count of lines; text that
it cannot follow yields fewer positions, never an exception.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress

Path = tuple[str | int, ...]

_SPACE = " \t"
_BLANK = " \t\r\n"
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\", "e": "\x1b"}


def locate(text: str, path: Sequence[str | int]) -> int | None:
    """The 1-based line where `path` is written, or else the line of its nearest enclosing table or key.

    A missing key is so reported at the table that lacks it; None where not even the first part exists.
    """
    known = positions(text)
    for length in range(len(path), 0, -1):
        line = known.get(tuple(path[:length]))
        if line is not None:
            return line
    return None


def positions(text: str) -> dict[Path, int]:
    """Every key path of a TOML text with its line; elements of arrays are named by their index."""
    scanner = _Scanner(text)
    with suppress(_LostError):  # not TOML after all: the parser has said so, with its own line
        scanner.document()
    return scanner.found


class _LostError(Exception):
    """The scan met something that is not TOML."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        self._starts = [0, *(i + 1 for i, char in enumerate(text) if char == "\n")]
        self._counts: dict[Path, int] = {}  # how many [[tables]] each array has so far

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self.at >= len(self.text):
                return
            if self._peek("[["):
                table = self._header("[[", "]]")
            elif self._peek("["):
                table = self._header("[", "]")
            else:
                self._pair(table)

    def _header(self, opening: str, closing: str) -> Path:
        start = self.at
        self.at += len(opening)
        keys = self._key()
        self._expect(closing)
        path: Path = ()
        for index, key in enumerate(keys):
            path = (*path, key)
            self._mark(path, start)
            if closing == "]]" and index == len(keys) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self._mark(path, start)
        return path

    def _pair(self, table: Path) -> None:
        start = self.at
        path = table
        for key in self._key():
            path = (*path, key)
            self._mark(path, start)
        self._expect("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        self._mark(path, self.at)
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        elif self._peek('"') or self._peek("'"):
            self._string()
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\r\n":
                self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._peek("]"):
                self.at += 1
                return
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._peek(","):
                self.at += 1
            elif not self._peek("]"):
                raise _LostError

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while True:
            self._skip(_BLANK)
            if self._peek("}"):
                self.at += 1
                return
            self._pair(path)
            self._skip(_BLANK)
            if self._peek(","):
                self.at += 1
            elif not self._peek("}"):
                raise _LostError

    def _key(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            if self._peek('"') or self._peek("'"):
                keys.append(self._string())
            else:
                start = self.at
                while self.at < len(self.text) and self.text[self.at] in _BARE:
                    self.at += 1
                if start == self.at:
                    raise _LostError
                keys.append(self.text[start : self.at])
            self._skip(_SPACE)
            if not self._peek("."):
                return keys
            self.at += 1

    def _string(self) -> str:
        quote = self.text[self.at]
        if self.text.startswith(quote * 3, self.at):
            return self._long_string(quote)
        self.at += 1
        parts: list[str] = []
        while True:
            char = self._next()
            if char == quote:
                return "".join(parts)
            parts.append(self._escape() if char == "\\" and quote == '"' else char)

    def _long_string(self, quote: str) -> str:
        """Skip a multi-line string; it is never a key, so its value does not matter."""
        self.at += 3
        while not self.text.startswith(quote * 3, self.at):
            if self._next() == "\\" and quote == '"':
                self._next()
        self.at += 3
        while self._peek(quote):  # up to two quotes may stand before the closing three
            self.at += 1
        return ""

    def _escape(self) -> str:
        char = self._next()
        width = {"u": 4, "U": 8, "x": 2}.get(char)
        if width is None:
            return _ESCAPES.get(char, char)
        digits = self.text[self.at : self.at + width]
        self.at += width
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise _LostError from None

    def _next(self) -> str:
        if self.at >= len(self.text):
            raise _LostError
        self.at += 1
        return self.text[self.at - 1]

    def _peek(self, expected: str) -> bool:
        return self.text.startswith(expected, self.at)

    def _expect(self, expected: str) -> None:
        self._skip(_SPACE)
        if not self._peek(expected):
            raise _LostError
        self.at += len(expected)

    def _skip(self, blanks: str) -> None:
        """Pass blanks, and comments where the blanks include the line end."""
        while self.at < len(self.text):
            if self.text[self.at] == "#" and "\n" in blanks:
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text[self.at] not in blanks:
                return
            else:
                self.at += 1

    def _mark(self, path: Path, at: int) -> None:
        self.found.setdefault(path, bisect_right(self._starts, at))
