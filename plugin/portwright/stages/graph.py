"""All stages of a port, in the order of the diagram."""

from __future__ import annotations

from pathlib import Path

from ..errors import ExitCode, PortError, Problem
from .bind import bind_stage
from .capture import capture_stage
from .codegen import codegen_stage
from .context import Port, load
from .fetch import fetch_stage, golden_stage
from .port import port_stage
from .remap import remap_stage
from .stage import Stage
from .verify import verify_stage


def build_stages(port_toml: Path) -> list[Stage]:
    """Return the stages of one port.toml; the last one is `port:<name>`. Raises PortError with every problem."""
    return stages_of(load(port_toml))


def stages_of(port: Port) -> list[Stage]:
    stages = []
    for component in port.spec.components:
        stages.append(fetch_stage(port, component))
        if component.golden is not None:
            stages.append(golden_stage(port, component))
        stages.append(codegen_stage(port, component))
        stages.append(bind_stage(port, component))
        stages.append(remap_stage(port, component))
        stages.append(capture_stage(port, component))
        stages.append(verify_stage(port, component))
    return [*stages, port_stage(port)]


def all_stages(root: Path) -> list[Stage]:
    """Return the stages of every port below `root`; raises PortError as `load_ports` does."""
    return [stage for port in load_ports(root) for stage in stages_of(port)]


def load_ports(root: Path) -> list[Port]:
    """Read every port below `root`; raises PortError with every problem of each, or where there is no port at all."""
    from ..tasks import find_ports, placed

    ports, problems = [], []
    for file in find_ports(root):
        try:
            ports.append(load(file))
        except PortError as error:
            problems += [placed(problem, file) for problem in error.problems]
    if not ports and not problems:
        problems = [Problem("port.toml", "there is none here or below", "`portwright init <source>` drafts one")]
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return ports
