"""One file for a golden, to carry to a machine without torch. Standard library only.

A pack is an uncompressed tar of the golden's files: no folders, no links, the same bytes for the same golden.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

from portwright import canonical
from portwright.errors import PortError, Problem

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_FILES = 4096
INDEX = "golden.json"


def pack(golden: Path, out: Path) -> str:
    """Write a golden directory as one file and return the sha256 of that file, with its prefix.

    Raises PortError when a file that golden.json names is missing or has other bytes.
    """
    index = golden / INDEX
    if not index.is_file():
        raise PortError(Problem(str(index), "there is no golden here", "capture it first: doit capture"))
    body = canonical.parse_object(index.read_bytes(), str(index))
    names = sorted(_listed(body, str(index)))
    problems = [p for name in names if (p := _wrong(golden / name, body["files"][name]))]
    if problems:
        raise PortError(problems)
    partial = out.with_name(out.name + ".partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in [INDEX, *names]:
            info = tarfile.TarInfo(name)
            info.size, info.mode = (golden / name).stat().st_size, 0o644
            with (golden / name).open("rb") as stream:
                archive.addfile(info, stream)
    partial.replace(out)
    return canonical.sha256_file(out)


def unpack(file: Path, out: Path) -> None:
    """Unpack into the new folder `out`, checking everything before it appears; raises PortError on a hostile archive.

    Only plain files with plain names are taken, only those that golden.json lists, and only with the digests it gives.
    """
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with tarfile.open(file, "r:") as archive:
            _extract(archive, partial, str(file))
        shutil.rmtree(out, ignore_errors=True)
        os.replace(partial, out)  # noqa: PTH105  (a folder)
    except (tarfile.TarError, EOFError, UnicodeError, OverflowError) as error:
        raise PortError(Problem(str(file), f"is not a packed golden: {error}", "pack it again")) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: tarfile.TarFile, folder: Path, where: str) -> None:
    first = archive.next()
    if first is None or first.name != INDEX or not first.isreg() or first.size > canonical.MAX_JSON_BYTES:
        raise PortError(Problem(where, f"does not begin with {INDEX}", "make it with: portwright golden pack"))
    content = (archive.extractfile(first) or io.BytesIO()).read()
    body = canonical.parse_object(content, f"{where}: {INDEX}")
    left = _listed(body, where)
    (folder / INDEX).write_bytes(content)
    while (member := archive.next()) is not None:
        name = member.name
        if not member.isreg() or name not in left:
            raise PortError(Problem(where, f"holds {name[:100]!r}, which is no file of this golden", "do not use it"))
        expected = left.pop(name)
        digest, size = hashlib.sha256(), 0
        source = archive.extractfile(member)
        with (folder / name).open("wb") as target:
            while source is not None and (chunk := source.read(1 << 20)):
                size += len(chunk)
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != expected or size != member.size:
            raise PortError(Problem(where, f"{name}: its bytes are not the captured ones", "pack it again"))
    if left:
        raise PortError(Problem(where, f"lacks {', '.join(sorted(left)[:5])}", "pack it again"))


def _listed(body: dict[str, Any], where: str) -> dict[str, str]:
    """The files that golden.json names, if it is sound."""
    files = body.get("files")
    if not isinstance(files, dict) or len(files) > MAX_FILES or INDEX in files or not all(map(_sound, files.items())):
        raise PortError(Problem(where, f"{INDEX} has no sound list of files", "capture it again: doit capture"))
    return dict(files)


def _sound(item: tuple[str, Any]) -> bool:
    return _NAME.fullmatch(item[0]) is not None and isinstance(item[1], str)


def _wrong(path: Path, expected: str) -> Problem | None:
    if not path.is_file():
        return Problem(str(path), "is missing", "capture it again: doit capture")
    if canonical.sha256_file(path) != canonical.PREFIX + expected:
        return Problem(str(path), "its bytes are not the captured ones", "capture it again: doit capture")
    return None
