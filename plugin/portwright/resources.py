"""Find the Skills and JSON Schemas that ship with portwright: in a wheel, an editable install or a checkout alike."""

from __future__ import annotations

from pathlib import Path

from .errors import ExitCode, PortError, Problem

_PACKAGE = Path(__file__).parent


def data_dir(kind: str) -> Path:
    """Return the folder `skills` or `schemas`; a wheel carries them inside the package, a checkout beside `plugin/`."""
    packaged = _PACKAGE / "_data" / kind
    if packaged.is_dir():
        return packaged
    checkout = _PACKAGE.parents[1] / kind
    if checkout.is_dir():
        return checkout
    raise PortError(
        Problem(str(_PACKAGE), f"this installation of portwright has no {kind}/ folder", "install it again with pip"),
        ExitCode.FAILED,
    )
