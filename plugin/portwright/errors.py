"""The one error type, and the one table of exit codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process status of every `portwright` command means."""

    OK = 0
    FAILED = 1  # a check failed, or the gate blocks
    USAGE = 2  # the command line, or an input file (port.toml, a Skill, a lock), is wrong
    HOLES = 3  # codegen left holes
    DIVERGED = 4  # the port runs but its numbers differ from the reference
    NOT_BUILT = 5  # the reference could not be built or run
    SOURCE = 6  # the source could not be fetched, or its bytes are not the pinned ones
    INTERRUPTED = 130


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it is, what it is, and the likely fix."""

    where: str  # "port.toml:7: components.model.dtype", "model.safetensors: header"
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        return f"{text}\n    fix: {self.hint}" if self.hint else text


class PortError(Exception):
    """Every problem found in one run, raised once; the command line prints it without a traceback."""

    def __init__(self, problems: Problem | Iterable[Problem], code: ExitCode = ExitCode.FAILED) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.code = code
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[PortError], tuple[tuple[Problem, ...], ExitCode]]:
        return type(self), (self.problems, self.code)
