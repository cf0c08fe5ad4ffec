"""All stages of a port, in the order of the diagram."""

from __future__ import annotations

from pathlib import Path

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
    """Return the stages of every port below `root`."""
    from ..tasks import find_ports

    return [stage for file in find_ports(root) for stage in build_stages(file)]
