"""One way to write JSON, to digest bytes and text, and to write a figure, so that equal things are equal bytes.

Everything that we commit goes through here: `indent=2`, sorted keys, UTF-8, a final newline. The seal of a
sealed file is the sha256 of its canonical text without the seal itself: it catches edits, not liars.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import PortError, Problem

PREFIX = "sha256:"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Two digits and a two-digit exponent: no spelling of NaN or Infinity fits, and no exponent overflows a double.
FIGURE = re.compile(r"-?[0-9]\.[0-9]e[+-][0-9]{2}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
MAX_JSON_BYTES = 32 << 20  # a manifest of ten thousand modules is 4 MB
MAX_DEPTH = 64  # our deepest file nests seven levels


def dumps(value: Any) -> str:
    """Give the canonical text of a JSON value; NaN, Infinity and non-string keys raise ValueError."""
    _check_keys(value)
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def parse(content: bytes | str, where: str, finite: bool = True) -> Any:
    """Read JSON strictly: UTF-8, no duplicate keys, no NaN or Infinity, bounded size and depth.

    `finite=False` takes NaN and Infinity, which libraries write into their configs.
    Raises PortError with one Problem at `where`, whatever the bytes are.
    """
    try:
        text = content if isinstance(content, str) else _decode(content)
        if len(text) > MAX_JSON_BYTES:
            raise ValueError(f"it holds {len(text):,} characters, and no file of ours exceeds {MAX_JSON_BYTES:,}")
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant if finite else float,
            parse_float=_finite,
            parse_int=_integer,
        )
        _check_depth(value)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be written back
    except RecursionError:
        raise PortError(Problem(where, f"it nests deeper than {MAX_DEPTH} levels")) from None
    except UnicodeEncodeError:
        raise PortError(Problem(where, "not valid JSON: a text holds half of a surrogate pair")) from None
    except ValueError as error:
        raise PortError(Problem(where, f"not valid JSON: {error}")) from None
    return value


def parse_object(content: bytes | str, where: str, finite: bool = True) -> dict[str, Any]:
    """Read JSON strictly and insist on an object at the top."""
    value = parse(content, where, finite)
    if not isinstance(value, dict):
        raise PortError(Problem(where, f"expected a JSON object at the top, found {_kind(value)}"))
    return value


def seal(body: Mapping[str, Any]) -> str:
    """Give the seal of a file's body: the sha256 of its canonical text without the key `seal`."""
    return sha256_bytes(dumps({key: value for key, value in body.items() if key != "seal"}).encode())


def sealed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give a copy of the body that carries its own seal."""
    return {**body, "seal": seal(body)}


def sha256_bytes(content: bytes) -> str:
    """Digest bytes as they are, for example "sha256:9f86d0…"."""
    return PREFIX + hashlib.sha256(content).hexdigest()


def sha256_text(content: bytes | str) -> str:
    """Digest text with LF line ends, so that a checkout with CRLF has the same digest."""
    raw = content.encode() if isinstance(content, str) else content
    return sha256_bytes(raw.replace(b"\r\n", b"\n"))


def _spelled(value: Any) -> Any:
    """A value with NaN and the infinities, which only configs of libraries hold, as texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    return [_spelled(item) for item in value] if isinstance(value, (list, tuple)) else value


def sha256_json(value: Any) -> str:
    """Digest a JSON value by its canonical text."""
    return sha256_bytes(dumps(_spelled(value)).encode())


def sha256_file(path: Path) -> str:
    """Digest a file's bytes without holding them in memory; raises OSError if it cannot be read."""
    with path.open("rb") as stream:
        return PREFIX + hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text_file(path: Path) -> str:
    """Digest a text file with LF line ends; raises OSError if it cannot be read."""
    return sha256_text(path.read_bytes())


def figure(value: float) -> str:
    """Write a figure with two digits, for example "2.1e-07"; below 1e-99 it is zero.

    Raises ValueError for what is no figure: NaN, Infinity, and magnitudes of 1e100 and more.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no figure")
    text = f"{value:.1e}"
    if abs(float(text)) < 1e-99:
        return "0.0e+00"
    if not FIGURE.fullmatch(text):
        raise ValueError(f"{text} is too large for a figure")
    return text


def _check_keys(value: Any) -> None:
    # json.dumps turns 1 and None into "1" and "null" silently, and then two keys can collide.
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key must be text, not {key!r}")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise RecursionError
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start} is 0x{content[error.start]:02x})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        double = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {double!r} stands twice in one object")
    return result


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is outside the range of a double")
    return value


def _integer(text: str) -> int:
    if len(text) > 40:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _kind(value: Any) -> str:
    names = {list: "an array", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")
