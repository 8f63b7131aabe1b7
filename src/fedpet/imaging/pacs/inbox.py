"""Where received objects go: whole files only, named by UIDs alone, within limits."""

from __future__ import annotations

import os
import re
import shutil
import struct
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID

from fedpet.imaging.pacs.settings import Limits

UID_LENGTH_MAX = 64
UID_FORM = re.compile(r"[0-9]+(\.[0-9]+)*")
LAST_TAG = 0x0020000E
HEAD_BYTES = 1 << 20  # the UIDs stand in front of the pixels
UID_TAGS = (0x00080018, 0x0020000D, 0x0020000E)
PARTS = ".incoming"
# What reading a damaged header can raise.
DAMAGED = (
    ValueError, KeyError, AttributeError, TypeError, IndexError, EOFError, OSError,
    NotImplementedError, OverflowError, RecursionError, struct.error,
)  # fmt: skip

STORED = 0x0000
OUT_OF_RESOURCES = 0xA700
NOT_MATCHING = 0xA900
NOT_UNDERSTOOD = 0xC000


@dataclass(frozen=True, slots=True)
class Uids:
    """What an object is, of which series and study."""

    study: str
    series: str
    instance: str


@dataclass(frozen=True, slots=True)
class Held:
    """What of a series is on the disk: files, and their size in bytes."""

    files: int
    bytes: int


def is_uid(text: str) -> bool:
    """Tell whether a text is digits and dots as a UID is; nothing else may name a file.

    Examples:
        >>> is_uid("1.2.840.10008"), is_uid("1.2/../../etc"), is_uid("..")
        (True, False, False)
    """
    return len(text) <= UID_LENGTH_MAX and UID_FORM.fullmatch(text) is not None


def read_uids(dataset: bytes | memoryview, *, syntax: str) -> Uids | None:
    """Read study, series and instance UID of an encoded data set without its file header.

    Args:
        dataset: The data set as it came.
        syntax: UID of its transfer syntax; not deflated.

    Returns:
        None if they are absent, are no UIDs, or the data set is damaged.
    """
    head = dataset[:HEAD_BYTES]
    found = _uids(head, UID(syntax))
    if found is None and len(dataset) > len(head):
        found = _uids(dataset, UID(syntax))
    return found


def _uids(dataset: bytes | memoryview, uid: UID) -> Uids | None:
    try:
        read = read_dataset(
            BytesIO(dataset),
            uid.is_implicit_VR,
            uid.is_little_endian,
            stop_when=_after_last,
            specific_tags=[BaseTag(tag) for tag in UID_TAGS],
        )
        texts = [_raw(read, tag) for tag in UID_TAGS]
    except DAMAGED:
        return None
    if not all(map(is_uid, texts)):
        return None
    instance, study, series = texts
    return Uids(study, series, instance)


def file_head(*, sop_class: str, instance: str, syntax: str) -> bytes:
    """Return preamble and file meta information (PS3.10 7.1) for a data set as it came.

    Examples:
        >>> file_head(sop_class="1.2", instance="1.2.3", syntax="1.2.840.10008.1.2")[128:132]
        b'DICM'
    """
    uids = {2: sop_class, 3: instance, 0x10: syntax, 0x12: PYNETDICOM_IMPLEMENTATION_UID}
    body = struct.pack("<HH2sHI", 2, 1, b"OB", 0, 2) + b"\0\1"
    for element, uid in uids.items():
        value = uid.encode("ascii")
        value += b"\0" * (len(value) % 2)
        body += struct.pack("<HH2sH", 2, element, b"UI", len(value)) + value
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(body)) + body


def _write(file: FileIO, piece: bytes | memoryview) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _raw(read: Dataset, tag: int) -> str:
    """Return a value as it came: converting it would warn, with the value in the text."""
    value = getattr(read.get_item(tag), "value", None)
    return value.rstrip(b"\0 ").decode("ascii") if isinstance(value, bytes) else ""


def _after_last(tag: BaseTag, vr: str | None, length: int) -> bool:
    del vr, length
    return int(tag) > LAST_TAG


class Inbox:
    """A folder that receives objects: `STUDY/SERIES/INSTANCE.dcm`.

    A file appears under its name when it is whole, never before: it is written beside and
    renamed. May be used by several threads.

    Args:
        folder: Where to write; made if absent.
        limits: What may come in.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits
        self._parts = folder / PARTS
        self._parts.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._number = 0
        self.files = 0
        self.bytes = 0
        self.refused: Counter[str] = Counter()
        self.clear_parts()

    def keep(self, uids: Uids, *pieces: bytes | memoryview) -> int:
        """Keep one object and return the DIMSE status that its sender gets.

        Args:
            uids: What it is.
            pieces: The whole DICOM file, in pieces one after the other.
        """
        size_bytes = sum(map(len, pieces))
        with self._lock:
            self._number += 1
            number = self._number
            full = self.files >= self._limits.objects
        if full:
            return self.refuse("objects_max", OUT_OF_RESOURCES)
        if size_bytes > self._limits.object_mb * 10**6:
            return self.refuse("object_too_large", OUT_OF_RESOURCES)
        part = self._parts / f"{os.getpid()}-{number}.part"
        try:
            if shutil.disk_usage(self.folder).free - size_bytes < self._limits.free_gb * 1e9:
                return self.refuse("disk_full", OUT_OF_RESOURCES)
            with part.open("wb", buffering=0) as file:
                for piece in pieces:
                    _write(file, piece)
            self._place(part, uids)
        except OSError:
            with suppress(OSError):
                part.unlink()
            return self.refuse("not_written", OUT_OF_RESOURCES)
        with self._lock:
            self.files += 1
            self.bytes += size_bytes
        return STORED

    def refuse(self, reason: str, status: int) -> int:
        """Count an object that is not kept, and return the status for its sender."""
        with self._lock:
            self.refused[reason] += 1
        return status

    def held(self, study: str, series: str) -> Held:
        """Return what of a series is here."""
        files = size_bytes = 0
        if is_uid(study) and is_uid(series):
            with suppress(OSError), os.scandir(self.folder / study / series) as listing:
                for entry in listing:
                    if entry.name.endswith(".dcm"):
                        files += 1
                        size_bytes += entry.stat().st_size
        return Held(files, size_bytes)

    def clear_parts(self) -> None:
        """Remove what a killed process left half written."""
        for part in self._parts.glob("*.part"):
            with suppress(OSError):
                part.unlink()

    def close(self) -> None:
        """Remove the place of unfinished files."""
        self.clear_parts()
        with suppress(OSError):
            self._parts.rmdir()

    def _place(self, part: Path, uids: Uids) -> None:
        target = self.folder / uids.study / uids.series / f"{uids.instance}.dcm"
        try:
            part.replace(target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
