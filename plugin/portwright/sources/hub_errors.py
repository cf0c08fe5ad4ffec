"""Turn what the Hub's client raises into one problem with its fix, and try again what time may mend.

Classes are told apart by name along their ancestry, since the client's HTTP library differs between its releases.
No message quotes a URL or a header: signed links and tokens must not reach a log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import ExitCode, PortError, Problem
from ..records import SourceRef

_T = TypeVar("_T")
WAITS = (0.5, 1.0, 2.0)  # seconds before each further attempt
_AGAIN = {408, 429, 500, 502, 503, 504}


class HubUnreachable(PortError):
    """No answer came, so that what is cached may stand in."""


def retrying(action: Callable[[], _T], ref: SourceRef, path: str = "") -> _T:
    """Do `action`, again after a pause when the connection or the Hub failed; raises PortError."""
    waits = list(WAITS)
    while True:
        try:
            return action()
        except Exception as error:
            if waits and _may_mend(error):
                time.sleep(waits.pop(0))
                continue
            if (told := explain(error, ref, path)) is None:
                raise
            kind = HubUnreachable if _is_connection(error) else PortError
            raise kind(told, ExitCode.SOURCE) from None


def explain(error: Exception, ref: SourceRef, path: str = "") -> Problem | None:
    """Say what a client's error means for this source; None if it is not one of the client's."""
    where = f"{ref.text}: {path}" if path else ref.text
    kinds, status = _ancestry(error), _status(error)
    cause = error.__cause__
    if "LocalEntryNotFoundError" in kinds and isinstance(cause, Exception):
        return explain(cause, ref, path)
    if "OfflineModeIsEnabled" in kinds:
        return Problem(where, "it is not in the cache, and HF_HUB_OFFLINE forbids to fetch it", "unset HF_HUB_OFFLINE")
    if "GatedRepoError" in kinds:
        hint = f"accept its terms on the model's page, {ref.name}, then `hf auth login` or set HF_TOKEN"
        return Problem(where, "access to this model is granted by its owners (it is gated)", hint)
    if "RevisionNotFoundError" in kinds:
        return Problem(where, f"the Hub has no revision {ref.revision!r} of {ref.name}", "correct what follows the @")
    if "RemoteEntryNotFoundError" in kinds:
        return Problem(where, "the Hub does not have this file at this revision", "correct the component's path")
    if "DisabledRepoError" in kinds:
        return Problem(where, "the Hub has disabled this model", "choose another source")
    if status == 401:
        hint = (
            "correct the spelling; for a private model `hf auth login` or set HF_TOKEN (an expired one counts as none)"
        )
        return Problem(where, "the Hub answers 401: there is no such model, or it takes a login to see it", hint)
    if status == 403:
        hint = "give your token the right to read this model, or log in as somebody who may"
        return Problem(where, "the Hub answers 403: your token may not read this model", hint)
    if status == 404:
        return Problem(where, f"the Hub answers 404: there is no {path or ref.name}", "correct the spelling")
    if status is not None:
        return Problem(where, f"the Hub answers {status}", "wait a while and run it again: what was fetched is kept")
    if "TransportError" in kinds:
        hint = "check the network (and HF_ENDPOINT, if it is set), then run it again: what was fetched is kept"
        return Problem(where, f"the connection to the Hub failed ({type(error).__name__})", hint)
    if "FileMetadataError" in kinds:
        hint = "check HF_ENDPOINT and your proxy: something between you and the Hub changes its answers"
        return Problem(where, "the Hub's answer lacks the file's size or digest", hint)
    if _is_short(error):
        return Problem(where, "the connection was cut: fewer bytes came than the Hub announced", "run it again")
    if isinstance(error, ValueError) and "hf_xet" in str(error):
        return Problem(where, "this file is too large for plain HTTP", "pip install hf_xet")
    if "HFValidationError" in kinds:
        return Problem(where, "the Hub's client refuses this name", "write `hf:org/name@revision`")
    return None


def _is_connection(error: BaseException) -> bool:
    kinds = {"TransportError", "OfflineModeIsEnabled"}
    return bool(kinds & _ancestry(error)) or _status(error) in _AGAIN


def _may_mend(error: Exception) -> bool:
    return "TransportError" in _ancestry(error) or _status(error) in _AGAIN or _is_short(error)


def _is_short(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno is None and "Consistency check failed" in str(error)


def _ancestry(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
