"""The doit loader of our tasks: `[tool.doit] loader = "portwright"` in a pyproject.toml stands for a dodo.py."""

from __future__ import annotations

from typing import Any

from doit.cmd_base import NamespaceTaskLoader


class PortLoader(NamespaceTaskLoader):  # type: ignore[misc]  # doit ships no types
    """Makes the tasks of every port below the current folder, as `from portwright.tasks import *` does.

    doit reads a pyproject.toml in the current folder only, so `doit -k port` from a subfolder needs a dodo.py.
    """

    def setup(self, opt_values: dict[str, Any]) -> None:
        from .tasks import DOIT_CONFIG, ports

        self.namespace = {"DOIT_CONFIG": DOIT_CONFIG, **ports()}
