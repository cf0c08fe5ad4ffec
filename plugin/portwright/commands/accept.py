"""accept: record a person's acceptance, bound to the digest of the evidence they saw."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import ExitCode


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", type=Path, help="the folder of the port.toml (default: here)")


def run(args: argparse.Namespace) -> int:
    from ..contribute.accept import accept

    print(f"wrote {accept(args.folder, sys.stdout, sys.stdin)}")
    return int(ExitCode.OK)
