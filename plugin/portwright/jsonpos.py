"""The line of a key in a JSON text, since the standard parser keeps no positions."""

from __future__ import annotations

import json
import re

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\r\n]*")


def positions(text: str) -> dict[Path, int]:
    """Give every key path of a valid JSON text with its 1-based line; elements of arrays are named by their index."""
    scanner = _Scanner(text)
    scanner.value(())
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        self._counted = (0, 1)  # up to which character lines were counted, and the line there
        self._decoder = json.JSONDecoder()

    def value(self, path: Path) -> None:
        """Step over one value."""
        self._space()
        self.found[path] = self._line()
        match self.text[self.at]:
            case "{":
                self._members(path, "}", named=True)
            case "[":
                self._members(path, "]", named=False)
            case _:
                _, self.at = self._decoder.raw_decode(self.text, self.at)

    def _members(self, path: Path, close: str, *, named: bool) -> None:
        self.at += 1
        index = 0
        while True:
            self._space()
            if self.text[self.at] == close:
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
                self._space()
            key: str | int = index
            line = self._line()
            if named:
                key, self.at = self._decoder.raw_decode(self.text, self.at)
                self._space()
                self.at += 1  # the colon
            self.value((*path, key))
            self.found[(*path, key)] = line
            index += 1

    def _space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None  # the pattern matches nothing too
        self.at = match.end()

    def _line(self) -> int:
        seen, line = self._counted
        line += self.text.count("\n", seen, self.at)
        self._counted = (self.at, line)
        return line
