"""hook: run one of the pre-commit hooks."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs=argparse.REMAINDER, help="port-manifest, port-spec or port-skill")


def run(args: argparse.Namespace) -> int:
    from ..hooks import main

    return int(main(args.words))
