"""golden: pack the reference's answers into one file, unpack it elsewhere, or have them taken anew."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from ..errors import ExitCode, PortError, Problem
from ..stages.context import Port, load


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    pack = actions.add_parser("pack", help="write one file that a machine without torch can verify from")
    unpack = actions.add_parser("unpack", help="put a packed golden where `portwright verify` looks for it")
    unpack.add_argument("file", type=Path)
    retake = actions.add_parser("retake", help="let the next `doit port` run the reference again")
    for parser_ in (pack, unpack, retake):
        parser_.add_argument("--port", default=Path(), type=Path, help="the folder of the port.toml (default: here)")
        parser_.add_argument("--component", help="which component, where the port has several")
    pack.add_argument("--out", type=Path, help="the file to write (default: <port>.golden.tar)")


def run(args: argparse.Namespace) -> int:
    from ..verify import pack

    port = load(args.port / "port.toml")
    component = _component(port, args.component)
    golden = port.paths.golden(component)
    if args.action == "retake":
        shutil.rmtree(golden, ignore_errors=True)
        port.paths.receipt(f"capture:{port.spec.name}:{component}").unlink(missing_ok=True)
        print(f"capture:{port.spec.name}:{component} runs again with the next `doit port`")
        return int(ExitCode.OK)
    if args.action == "unpack":
        shutil.rmtree(golden, ignore_errors=True)
        golden.parent.mkdir(parents=True, exist_ok=True)
        pack.unpack(args.file, golden)
        print(f"unpacked to {golden}")
        return int(ExitCode.OK)
    suffix = "" if port.paths.single else f".{component}"
    out = args.out or Path(f"{port.spec.name}{suffix}.golden.tar")
    digest = pack.pack(golden, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {digest}")
    return int(ExitCode.OK)


def _component(port: Port, name: str | None) -> str:
    names = [component.name for component in port.spec.components]
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    problem = f"there is no component {name!r}" if name else "this port has several components"
    raise PortError(Problem("--component", problem, f"one of: {', '.join(names)}"), ExitCode.USAGE)
