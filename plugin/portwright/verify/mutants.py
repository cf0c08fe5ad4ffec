"""Read mutants.toml, the catalogue of porting bugs that are planted in a port's code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import tomli


@dataclass(frozen=True)
class CodeMutant:
    """One planted bug: the first match of `pattern` becomes `replacement`."""

    name: str
    bug: str  # what it stands for, in the words of the field
    pattern: str
    replacement: str

    def apply(self, text: str) -> tuple[str, int] | None:
        """The mutated text and the line (from 1) of the edit; None where the pattern does not occur."""
        match = re.compile(self.pattern).search(text)
        if match is None:
            return None
        mutated = text[: match.start()] + match.expand(self.replacement) + text[match.end() :]
        return mutated, text.count("\n", 0, match.end() - 1) + 1


def code_mutants() -> list[CodeMutant]:
    """Every row of the catalogue."""
    table = tomli.loads(Path(__file__).with_name("mutants.toml").read_text(encoding="utf-8"))
    return [CodeMutant(**row) for row in table["mutant"]]
