"""Which files are wanted: glob patterns over the whole path, where `*` stays inside a folder and `**` does not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Turn a glob into a regular expression for whole POSIX paths.

    `*` and `?` match within one path segment, `[abc]` and `[!abc]` one character, `**/` any number of folders.
    """
    out, i = [], 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out.append("(?:[^/]+/)*")
            i += 3
        elif pattern.startswith("**", i):
            out.append(".*")
            i += 2
        elif pattern[i] == "*":
            out.append("[^/]*")
            i += 1
        elif pattern[i] == "?":
            out.append("[^/]")
            i += 1
        elif pattern[i] == "[" and (end := pattern.find("]", i + 2)) > 0:
            inside = pattern[i + 1 : end]
            negated = inside.startswith("!")
            out.append(f"[{'^/' if negated else ''}{re.escape(inside[negated:]).replace(chr(92) + '-', '-')}]")
            i = end + 1
        else:
            out.append(re.escape(pattern[i]))
            i += 1
    return re.compile("".join(out))


def select(paths: Iterable[str], wanted: tuple[str, ...]) -> list[str]:
    """Give the paths that at least one pattern matches, sorted."""
    patterns = [compile_pattern(pattern) for pattern in wanted]
    return sorted(path for path in paths if any(pattern.fullmatch(path) for pattern in patterns))
