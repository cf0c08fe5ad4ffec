"""plan: show components, parameters, bytes, the cost, and what would run and why, before weights are fetched."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

from ..errors import ExitCode, PortError, Problem
from ..paths import cache_root
from ..records import ComponentSpec, PortSpec, TensorInfo
from ..remote import consent
from ..stages.context import Port

# Streaming keeps remap small; loading the reference in fp32 beside an fp64 shadow is what takes memory.
_CAPTURE_BYTES_PER_PARAMETER = 4 + 8
_WIDER_SCALES = 6 / 32  # bytes more for each element of a kept block, whose scales become float32
_WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", type=Path, help="the folder with the ports (default: here)")


def run(args: argparse.Namespace) -> int:
    from ..stages.graph import load_ports, stages_of

    for port in load_ports(args.folder):
        _show_components(port)
        print("  would run:")
        reasons = [(stage.name, stage.stale()) for stage in stages_of(port)]
        for name, why in reasons:
            if why:
                print(f"    {name}: {'; '.join(why)}")
        if not any(why for _, why in reasons):
            print("    nothing: everything is up to date")
    return int(ExitCode.OK)


def _show_components(port: Port) -> None:
    from ..sources import peek

    spec = port.spec
    lock = port.lock()
    pinned = dict(lock.files) if lock and lock.source == spec.source.text else None
    seen = peek(spec.source, cache=cache_root(), base=spec.directory, pinned=pinned)
    sizes = dict(seen.files)
    problems: list[Problem] = []
    for component in spec.components:
        try:
            _check_code(component, seen.texts, sizes, spec.source.text)
        except PortError as error:
            problems += error.problems
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    print(
        f"{spec.name}: {spec.source.text}, Skill {port.skill.name} {port.skill.version}, {spec.dtype}, {spec.runtime}"
    )
    for component in spec.components:
        folder = f"{component.path}/" if component.path else ""
        headers = {f: h for f, h in seen.headers.items() if f.startswith(folder) and "/" not in f.removeprefix(folder)}
        if component.file:
            headers = {f: h for f, h in headers.items() if f == folder + component.file}
        parameters = sum(prod(info.shape) for header in headers.values() for info in header.values())
        read = sum(sizes[file] for file in headers)
        infos = [info for header in headers.values() for info in header.values()]
        print(f"  {component.name}: {component.reference} ({component.kind})")
        written = sum(_written(info, spec) for info in infos) / 1e6
        print(f"    {parameters:,} parameters, {read / 1e6:,.1f} MB to read, about {written:,.1f} MB to write")
        memory = parameters * _CAPTURE_BYTES_PER_PARAMETER / 1e9
        print(f"    capture needs about {memory:,.2f} GB of memory, verify about {parameters * 4 / 1e9:,.2f} GB")


def _check_code(component: ComponentSpec, texts: Mapping[str, str], files: Iterable[str], source: str) -> None:
    """Refuse code of the source's own that port.toml does not allow, or does not name rightly."""
    path = f"{component.path}/config.json" if component.path else "config.json"
    try:
        config = json.loads(texts.get(path, "{}"))
    except ValueError:
        return  # fetch says so
    if isinstance(config, dict):
        consent.check_asked(component, config, source)
        if component.remote_code:
            consent.check_reference(component, config, files, source)


def _written(info: TensorInfo, spec: PortSpec) -> float:
    """About how many bytes a tensor takes in the port."""
    count, quantize = prod(info.shape), spec.quantize
    if quantize is None or (quantize.source and not info.packed):
        return count * _WIDTHS[spec.dtype]
    if quantize.source:
        return info.end - info.start + count * _WIDER_SCALES
    return count * (quantize.bits + 32 / quantize.group_size) / 8
