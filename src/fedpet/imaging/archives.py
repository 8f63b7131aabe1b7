"""What a zip archive holds, with limits: it may come from outside, and may be made to do harm."""

from __future__ import annotations

import os
import struct
import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import Final

from fedpet.errors import DataError
from fedpet.imaging.places import INSIDE, UNREACHABLE, open_archive, open_place

MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
OTHER_ENDINGS: Final = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".dcm.gz")
MEMBERS_MAX = 1_000_000
DIRECTORY_BYTES_MAX = 256 << 20
MEMBER_BYTES_MAX = 8 << 30
# Deflate reaches 1032:1 on nothing but zeros. Whole exports of scans stay below 20:1.
RATIO_MAX = 200
BOMB_BYTES_MIN = 1 << 30

_END: Final = struct.Struct("<4s4H2IH")
_END64: Final = struct.Struct("<4sQ2H2I4Q")


@dataclass(frozen=True, slots=True)
class Contents:
    """The members of an archive.

    Args:
        places: Of the members that may be read.
        refused: How many are not, by reason.
    """

    places: tuple[str, ...]
    refused: dict[str, int]


def look_into(path: str) -> Contents:
    """List an archive without unpacking it.

    Members stay where they are and are only ever read, so that a name cannot lead out of the
    folder; one that tries is refused nevertheless, as is an archive inside the archive.

    Raises:
        DataError: If the archive is damaged, or is built to exhaust the machine.
    """
    try:
        _check_directory(path)
        status = os.stat(path)  # noqa: PTH116 - a place is text
        packed = open_archive(path, status.st_mtime_ns, status.st_size)
    except UNREACHABLE as error:
        raise DataError("A zip archive is damaged.", do="Copy it again.", code="FP-2119") from error
    infos = [info for info in packed.infolist() if not info.is_dir()]
    whole = sum(info.file_size for info in infos)
    if whole > BOMB_BYTES_MIN and whole > RATIO_MAX * status.st_size:
        raise DataError(
            f"A zip archive of {status.st_size >> 20} MiB says that it holds {whole >> 30} GiB.",
            do="Unpack it yourself, if you trust it.",
            code="FP-2119",
        )
    names = Counter(info.filename for info in infos)
    refused: Counter[str] = Counter()
    places = []
    for info in infos:
        reason = _objection(info, twice=names[info.filename] > 1)
        if reason:
            refused[reason] += 1
        else:
            places.append(path + INSIDE + info.filename)
    return Contents(tuple(places), dict(refused))


def _objection(info: zipfile.ZipInfo, *, twice: bool) -> str:
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or INSIDE in name or ":" in name[:2]:
        return "Members of a zip archive have names that lead out of it; they are not read."
    if info.flag_bits & 1:
        return "Members of a zip archive are encrypted; unpack it with its password."
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "Members of a zip archive are packed in a rare way; unpack it."
    if info.file_size > MEMBER_BYTES_MAX:
        return "Members of a zip archive are larger than any scan."
    if twice:
        return "Several members of a zip archive have one name; unpack it."
    return ""


def _check_directory(path: str) -> None:
    """Refuse a list of members that would fill the memory before it is read."""
    opened = open_place(path)
    with opened.file as file:
        file.seek(max(0, opened.size - (1 << 16) - _END.size - _END64.size - 20))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise zipfile.BadZipFile
    _, _, _, _, members, size, _, _ = _END.unpack_from(tail, at)
    large = tail.rfind(b"PK\x06\x06", 0, at)
    if (members == 0xFFFF or size == 0xFFFFFFFF) and 0 <= large <= len(tail) - _END64.size:
        members, size = _END64.unpack_from(tail, large)[7:9]
    if members > MEMBERS_MAX or size > DIRECTORY_BYTES_MAX:
        raise DataError(
            f"A zip archive lists more members than are read ({MEMBERS_MAX}).",
            do="Unpack it yourself, if you trust it.",
            code="FP-2119",
        )
