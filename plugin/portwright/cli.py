"""The `portwright` command: finds the verb's module, parses, runs, prints problems without a traceback."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from . import __version__
from .errors import ExitCode, PortError


class Verb(Protocol):
    """What every module of `commands/` offers."""

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


# verb -> (module, one line of help). A module is imported only for its own verb: the hooks must start fast.
VERBS = {
    "init": ("init", "draft port.toml, dodo.py, the pre-commit configuration and .gitignore for a source"),
    "plan": ("plan", "show components, parameters, bytes, and what would run and why"),
    "why": ("why", "say why a task would run"),
    "check": ("check", "read every byte of the outputs and compare it with the receipts"),
    "try": ("try_", "port a class or model type with random weights, and compare"),
    "atlas": ("atlas", "try every model of transformers and diffusers, and write how far each comes"),
    "verify": ("verify", "measure a port on this machine and add its run to the evidence"),
    "golden": ("golden", "pack the reference's answers into one file, or unpack or retake them"),
    "skill": ("skill", "list Skills, or copy a built-in one into this repo"),
    "accept": ("accept", "record a person's acceptance of the evidence"),
    "hook": ("hook", "run one of the pre-commit hooks"),
}
_CODES = "exit codes: " + ", ".join(f"{int(code)} {code.name.lower().replace('_', ' ')}" for code in ExitCode)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the process status (`errors.ExitCode`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(words)
    except PortError as error:
        here = f"{Path.cwd()}/"
        for problem in error.problems:
            print(replace(problem, where=problem.where.removeprefix(here)), file=sys.stderr)
        count = len(error.problems)
        if count > 1:
            print(f"{count} problems", file=sys.stderr)
        return int(error.code)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:  # `portwright plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except OSError as error:
        print(f"{error.filename or 'portwright'}: {error.strerror or error}", file=sys.stderr)
        return int(ExitCode.FAILED)


def _main(words: list[str]) -> int:
    if words and words[0] in VERBS:
        module_name, line = VERBS[words[0]]
        verb: Verb = importlib.import_module(f".commands.{module_name}", __package__)
        parser = argparse.ArgumentParser(prog=f"portwright {words[0]}", description=line, epilog=_CODES)
        verb.arguments(parser)
        return verb.run(parser.parse_args(words[1:]))
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {line}" for verb, (_, line) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="portwright",
        usage="portwright [-h] [--version] VERB ...",
        description="Port PyTorch models to MLX as a build, and prove each port. `doit port` runs the whole of it.",
        epilog=f"verbs:\n{verbs}\n\n`portwright VERB -h` has more.\n{_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"portwright {__version__}")
    parser.add_argument("verb", choices=list(VERBS), metavar="VERB", help=argparse.SUPPRESS)
    parser.parse_args(words[:1] if words else ["-h"])
    return int(ExitCode.USAGE)


if __name__ == "__main__":
    raise SystemExit(main())
