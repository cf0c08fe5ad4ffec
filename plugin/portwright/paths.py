"""Where things lie: the caches of this machine, and the folders of a port."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def cache_root() -> Path:
    """Return the cache shared by all ports of this machine; `PORTWRIGHT_CACHE` moves it."""
    override = os.environ.get("PORTWRIGHT_CACHE")
    if override:
        return Path(override).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "portwright"


def hub_cache_root() -> Path:
    """Return huggingface_hub's cache, which `HF_HUB_CACHE` or `HF_HOME` moves (its own documented variables)."""
    own = os.environ.get("HF_HUB_CACHE")
    if own:
        return Path(own).expanduser()
    home = os.environ.get("HF_HOME")
    folder = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return folder.expanduser() / "hub"


# How a file outside the port's folder is named in a receipt, so that moving a cache changes nothing.
PREFIXES: dict[str, Callable[[], Path]] = {"cache:": cache_root, "hub:": hub_cache_root}


@dataclass(frozen=True)
class PortPaths:
    """The files of one port; `directory` is where its port.toml lies."""

    directory: Path
    out: str  # [out] path
    single: bool  # one component, called `model`: its outputs need no folder of their own

    @property
    def lock(self) -> Path:
        return self.directory / "port.lock"

    @property
    def manifest(self) -> Path:
        return self.directory / "port.manifest.json"

    @property
    def evidence(self) -> Path:
        return self.directory / "port.evidence.json"

    @property
    def state(self) -> Path:
        """Everything that can be made again and is never committed."""
        return self.directory / ".portwright"

    def component(self, name: str) -> Path:
        """Return the output folder of one component: model.py, config.json, portmap.json and weights."""
        return self.directory / self.out / ("" if self.single else name)

    def golden(self, component: str) -> Path:
        return self.state / "golden" / component

    def build(self, component: str) -> Path:
        """Return the folder of one component's intermediate outputs: trace, pristine code, moves, measurements."""
        return self.state / "build" / component

    def receipt(self, task: str) -> Path:
        return self.state / "receipts" / f"{task.replace(':', '.')}.json"
