"""Where the bytes of a file lie: in a folder, or in a zip archive that stays packed.

A place is a path; a member of an archive is `archive NUL member`, since no file system allows that
sign in a name. Nothing is ever unpacked to disk, and no more is inflated than is asked for.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Final

from fedpet.errors import DataError

INSIDE: Final = "\0"
OPEN_ARCHIVES = 4
# What a damaged archive, a lost drive or a wrong password makes the readers raise.
UNREACHABLE: Final = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file and what tells whether it changed.

    Args:
        file: At its first byte; goes forward only in archives.
        size: Bytes.
        modified_ns: Time of the last change; the checksum of a member of an archive.
    """

    file: IO[bytes]
    size: int
    modified_ns: int


def open_place(place: str) -> Opened:
    """Open a file or a member of an archive for reading.

    Raises:
        OSError: And the other kinds of `UNREACHABLE`, if that is not possible.
    """
    archive, inside, member = place.partition(INSIDE)
    if not inside:
        file = open(place, "rb", buffering=0)  # noqa: PTH123, SIM115 - called for each file
        status = os.fstat(file.fileno())
        return Opened(file, status.st_size, status.st_mtime_ns)
    status = os.stat(archive)  # noqa: PTH116 - a place is text
    packed = open_archive(archive, status.st_mtime_ns, status.st_size)
    info = packed.getinfo(member)
    return Opened(packed.open(info), info.file_size, info.CRC)


@lru_cache(OPEN_ARCHIVES)
def open_archive(path: str, modified_ns: int, size: int) -> zipfile.ZipFile:
    """Open an archive, or return the one that is open already and has not changed."""
    del modified_ns, size
    return zipfile.ZipFile(path)


def read_place(place: str, *, start: int = 0, count: int) -> bytes:
    """Return up to `count` bytes of a place.

    Raises:
        DataError: If the place cannot be read.
    """
    try:
        opened = open_place(place)
        with opened.file as file:
            if INSIDE in place:
                return file.read(start + count)[start:]
            file.seek(start)
            return file.read(count)
    except UNREACHABLE as error:
        raise unreachable(error) from error


def read_deflated(place: str, *, meta: int, start: int, count: int) -> bytes:
    """Return bytes of a data set that is deflated behind its meta group (PS3.5 A.5).

    Args:
        place: The file.
        meta: Where the deflated stream begins.
        start: First wanted byte, counted as if the stream lay inflated behind `meta`.
        count: How many; nothing behind them is inflated.

    Raises:
        DataError: If the place cannot be read.
    """
    end = start + count - meta
    out = bytearray()
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        opened = open_place(place)
        with opened.file as file:
            file.read(meta)
            while len(out) < end and not stream.eof:
                packed = stream.unconsumed_tail or file.read(1 << 16)
                if not packed:
                    break
                out += stream.decompress(packed, end - len(out))
    except UNREACHABLE as error:
        raise unreachable(error) from error
    return bytes(out[start - meta : end])


def unreachable(error: BaseException) -> DataError:
    """Return what to tell of a place that cannot be read; paths may name patients."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else "damaged archive"
    return DataError(f"A file cannot be read: {why}.", code="FP-2111", do="Check its rights.")
