"""Our own ports: `doit port` here runs the examples through the plugin, as a user's repository would."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "plugin"))  # a clone works before it is installed

from portwright.tasks import DOIT_CONFIG, ports

globals().update(ports("examples/*/port.toml"))

__all__ = ["DOIT_CONFIG"]
