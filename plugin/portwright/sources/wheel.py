"""Read a wheel as the zip file that it is, and trust nothing in it until its RECORD has confirmed it.

The whole archive is judged before a file of it is written: names that leave the folder, links, doubled names,
overlapping entries, and sizes that differ from RECORD's (which bounds what any entry can inflate to).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import ExitCode, PortError, Problem
from .atomic import replacing
from .backend import Listed, Tick
from .digest import CHUNK, Digester, Digests
from .names import name_problem

_RECORD_LIMIT = 64 << 20
_DEFLATE_LIMIT = 1032  # no deflate stream inflates by more
_ALGORITHMS = {"sha256", "sha384", "sha512"}
# What zipfile raises for damaged bytes; NotImplementedError is a RuntimeError, UnicodeDecodeError a ValueError.
_DAMAGE = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, struct.error, zlib.error)
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")  # the files that RECORD cannot list with a hash


@dataclass(frozen=True)
class Member:
    """One file of a wheel, as RECORD states it."""

    info: zipfile.ZipInfo
    algorithm: str
    digest: str  # lower-case hex

    @property
    def listed(self) -> Listed:
        sha256 = self.digest if self.algorithm == "sha256" else None
        return Listed(self.info.filename, self.info.file_size, sha256)


class Wheel:
    """An opened wheel whose archive and RECORD agree."""

    def __init__(self, archive: zipfile.ZipFile, version: str, members: dict[str, Member]) -> None:
        self.archive = archive
        self.version = version
        self.members = members

    def read(self, path: str, start: int, length: int) -> bytes:
        """Inflate a file up to `start + length` and give the last `length` bytes; nothing is written."""
        try:
            with self.archive.open(self.members[path].info) as stream:
                stream.seek(start)
                return stream.read(length)
        except _DAMAGE as error:
            raise _damaged(path, error) from None

    def extract(self, path: str, target: Path, temp_dir: Path, tick: Tick) -> Digests:
        """Write one file to `target` in one step; raises PortError if its bytes are not the ones in RECORD."""
        member = self.members[path]
        digester, confirm = Digester(path), hashlib.new(member.algorithm)
        try:
            with self.archive.open(member.info) as stream, replacing(target, temp_dir) as out:
                while chunk := stream.read(CHUNK):
                    digester.update(chunk)
                    if member.algorithm != "sha256":
                        confirm.update(chunk)
                    out.write(chunk)
                    tick(len(chunk))
                found = digester.result()
                digest = found.sha256 if member.algorithm == "sha256" else confirm.hexdigest()
                if (found.size, digest) != (member.info.file_size, member.digest):
                    raise _wrong(path, member, found.size, digest)
        except _DAMAGE as error:
            raise _damaged(path, error) from None
        return found


def open_wheel(file: Path) -> Wheel:
    """Open a wheel and judge all of it; raises PortError with every problem found."""
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise _refuse([Problem(file.name, f"it is not a whole zip file: {error}")]) from None
    try:
        infos = archive.infolist()
        problems = _bad_names(infos) + _bad_entries(infos, file.stat().st_size)
        if problems:
            raise _refuse(problems)
        record = _record_name(infos)
        members, problems = _members(archive, infos, record)
        if problems:
            raise _refuse(problems)
    except BaseException:
        archive.close()
        raise
    return Wheel(archive, record.split("/")[0].removesuffix(".dist-info").rpartition("-")[2], members)


def _bad_names(infos: list[zipfile.ZipInfo]) -> list[Problem]:
    problems = [Problem(info.orig_filename, f"this entry {text}") for info in infos if (text := _name(info))]
    if any(not info.filename for info in infos):
        return problems  # a file without a name has no folder to look at either
    doubled = Counter(info.filename.rstrip("/").casefold() for info in infos)
    problems += [
        Problem(name, f"{n} entries have this name, or differ in case only") for name, n in doubled.items() if n > 1
    ]
    files = {info.filename for info in infos if not info.is_dir()}
    for name in sorted(files):
        if inner := next((str(p) for p in PurePosixPath(name).parents if str(p) in files), None):
            problems.append(Problem(name, f"this entry lies under {inner}, which is a file"))
    return problems


def _name(info: zipfile.ZipInfo) -> str:
    # zipfile cuts a name at a zero byte: judge what the archive really says.
    return name_problem(info.orig_filename)


def _bad_entries(infos: list[zipfile.ZipInfo], size: int) -> list[Problem]:
    problems = []
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        kind = stat.S_IFMT(info.external_attr >> 16)
        if stat.S_ISLNK(kind):
            problems.append(Problem(info.filename, "this entry is a symbolic link"))
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            problems.append(Problem(info.filename, "this entry is neither a file nor a folder"))
        if info.flag_bits & 0x1:
            problems.append(Problem(info.filename, "this entry is encrypted"))
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problems.append(Problem(info.filename, "this entry is packed by a method that wheels do not use"))
        if info.file_size > info.compress_size * _DEFLATE_LIMIT + 64:
            problems.append(Problem(info.filename, "this entry claims to inflate further than any zip entry can"))
        if info.header_offset < end:
            problems.append(Problem(info.filename, "this entry overlaps the one before it"))
        end = info.header_offset + 30 + info.compress_size
    if end > size:
        problems.append(Problem(infos[-1].filename, "the file ends inside its last entry"))
    return problems


def _record_name(infos: list[zipfile.ZipInfo]) -> str:
    names = [info for info in infos if re.fullmatch(r"[^/]+\.dist-info/RECORD", info.filename)]
    if len(names) != 1:
        raise _refuse([Problem("RECORD", f"a wheel has one .dist-info/RECORD, this one has {len(names)}")])
    if names[0].file_size > _RECORD_LIMIT:
        raise _refuse([Problem(names[0].filename, f"it claims {names[0].file_size:,} bytes")])
    return names[0].filename


def _members(
    archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], record: str
) -> tuple[dict[str, Member], list[Problem]]:
    members: dict[str, Member] = {}
    problems: list[Problem] = []
    rows: dict[str, tuple[str, str]] = {}
    try:
        with archive.open(record) as raw:
            for row in csv.reader(io.TextIOWrapper(raw, "utf-8", newline="")):
                if len(row) != 3 or (row[0] in rows and rows[row[0]] != (row[1], row[2])):
                    problems.append(
                        Problem(record, f"a row is malformed or contradicts another: {','.join(row)[:120]}")
                    )
                else:
                    rows[row[0]] = (row[1], row[2])
    except (csv.Error, *_DAMAGE) as error:
        return {}, [Problem(record, f"it cannot be read: {error or type(error).__name__}")]
    exempt = {f"{record.rpartition('/')[0]}/{name}" for name in _SIGNATURES}
    for info in infos:
        if info.is_dir() or info.filename in exempt:
            continue
        if info.filename not in rows:
            problems.append(Problem(info.filename, "RECORD does not list this file"))
            continue
        digest, size = rows[info.filename]
        algorithm, _, encoded = digest.partition("=")
        if algorithm not in _ALGORITHMS:
            problems.append(Problem(info.filename, f"RECORD gives no sha256 for it ({digest or 'nothing'})"))
        elif size != str(info.file_size):
            problems.append(Problem(info.filename, f"RECORD says {size or 'no'} bytes, the archive {info.file_size:,}"))
        else:
            members[info.filename] = Member(info, algorithm, _hex(encoded))
    return members, problems


def _hex(encoded: str) -> str:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex()
    except ValueError:
        return ""  # equals no digest


def _wrong(path: str, member: Member, size: int, digest: str) -> PortError:
    stated = f"RECORD says {member.algorithm} {member.digest} ({member.info.file_size:,} bytes)"
    return _refuse(
        [Problem(path, f"its bytes are not the ones that the wheel lists: {stated}, found {digest} ({size:,})")]
    )


def _damaged(path: str, error: Exception) -> PortError:
    return _refuse([Problem(path, f"its bytes in the wheel are damaged: {error or type(error).__name__}")])


def _refuse(problems: list[Problem]) -> PortError:
    hint = "do not use this wheel: it is damaged or made to do harm; tell whoever published it"
    return PortError([Problem(p.where, p.problem, p.hint or hint) for p in problems], ExitCode.SOURCE)
