"""The header of one DICOM file: by our own reader, and by pydicom where that one declines.

The own reader covers what PACS write and needs a tenth of a millisecond. Anything unusual (big
endian, tags out of order, odd value types) goes to pydicom; what pydicom cannot read either ends in
a DataError.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import IO, Final

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.header import Header
from fedpet.imaging.little_endian import (
    DEFLATED,
    IMPLICIT,
    MoreError,
    UnusualError,
    codec_of,
    decode,
    parse_file,
)
from fedpet.imaging.places import UNREACHABLE, Opened, open_place, unreachable
from fedpet.imaging.tags import Wanted

CHUNK_BYTES = 8192
HEADER_BYTES_MAX = 256 << 20
META_BYTES = 4096
UNREADABLE = (
    *(InvalidDicomError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError),
    *(NotImplementedError, IndexError, OverflowError, RecursionError, MemoryError),
    *(struct.error, zlib.error, BytesLengthException, RuntimeError, ZeroDivisionError),
)
_SWAPPED: Final = {"ushort": ">H", "padding": ">H", "ulong": ">I", "double": ">d"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the beginning of a file shows.

    Args:
        header: None if the file is not DICOM.
        size: Bytes.
        modified_ns: Time of the last change.
        magic: First four bytes.
    """

    header: Header | None
    size: int
    modified_ns: int
    magic: bytes


def read_header(path: str, wanted: Wanted = tags.INDEX) -> Header | None:
    """Read the wanted attributes of a file.

    Args:
        path: Any file, or a member of an archive (see `places`).
        wanted: Attributes to decode.

    Returns:
        The header, or None if the file is not DICOM (no `DICM` behind the preamble).

    Raises:
        DataError: If the file cannot be opened, or neither reader understands it.
    """
    return look_at(path, wanted).header


def look_at(path: str, wanted: Wanted = tags.INDEX) -> Seen:
    """Read the wanted attributes of a file, and what tells whether it changes.

    Raises:
        DataError: If the file cannot be opened, or neither reader understands it.
    """
    try:
        opened = open_place(path)
        with opened.file as file:
            head = file.read(CHUNK_BYTES)
            if head[128:132] != b"DICM":
                return Seen(None, opened.size, opened.modified_ns, head[:4])
            header = _parse(file, head, opened, wanted)
    except UNREACHABLE as error:
        raise unreachable(error) from error
    if header is None:
        header = _read_with_pydicom(path, wanted)
    return Seen(header, opened.size, opened.modified_ns, head[:4])


def _parse(file: IO[bytes], head: bytes, opened: Opened, wanted: Wanted) -> Header | None:
    """Read on until the header is whole; None if it is left to pydicom."""
    while True:
        try:
            return parse_file(head, wanted)
        except UnusualError:
            return None
        except MoreError:
            if len(head) >= HEADER_BYTES_MAX:
                raise DataError(
                    f"A DICOM file has more than {HEADER_BYTES_MAX >> 20} MiB before its pixels.",
                    code="FP-2111",
                ) from None
            more = file.read(max(0, min(7 * len(head), opened.size - len(head))))
            if not more:
                return None
            head += more


def _read_with_pydicom(path: str, wanted: Wanted) -> Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = read_with_pydicom(path, pixels=False)
            syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", IMPLICIT))
            header = _from_pydicom(dataset, wanted, "")
    except UNREADABLE as error:
        raise DataError(
            "A DICOM file is damaged: its header cannot be read.",
            do="Export it again from the PACS.",
            code="FP-2111",
        ) from error
    has_pixels = tags.ROWS in dataset
    pixels = (tags.PIXELS, -1, -1) if has_pixels else None
    return Header(header.values, header.sequences, syntax, pixels)


def read_with_pydicom(path: str, *, pixels: bool) -> pydicom.FileDataset:
    """Read a file with pydicom, in bounded memory.

    Raises:
        DataError: If the file is larger than the header may be, or deflated: pydicom would
            inflate without a limit.
    """
    limit = HEADER_BYTES_MAX * (8 if pixels else 1)
    try:
        opened = open_place(path)
        with opened.file as file:
            data = file.read(opened.size) if opened.size <= limit else b""
    except UNREACHABLE as error:
        raise unreachable(error) from error
    if opened.size > limit:
        raise DataError(
            f"A DICOM file of {opened.size >> 20} MiB is encoded in a way that is not read at such "
            "a size.",
            do="Export it as Explicit VR Little Endian.",
            code="FP-2111",
        )
    if DEFLATED.encode() in data[:META_BYTES]:
        raise DataError("A deflated DICOM file is damaged.", code="FP-2111")
    return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels)


def _from_pydicom(dataset: pydicom.Dataset, wanted: Wanted, codec: str) -> Header:
    raw: dict[int, bytes] = {}
    texts: dict[int, str] = {}
    sequences: dict[int, tuple[Header, ...]] = {}
    if tags.CHARACTER_SET in dataset:
        name = dataset.get_item(tags.CHARACTER_SET).value
        raw[tags.CHARACTER_SET] = name if isinstance(name, bytes) else str(name).encode()
        codec = codec_of(raw, codec)
    for tag, kind in wanted.items():
        if tag not in dataset or tag == tags.CHARACTER_SET:
            continue
        if not isinstance(kind, str):
            items = dataset[tag].value
            sequences[tag] = tuple(_from_pydicom(item, kind, codec) for item in items or ())
            continue
        element = dataset.get_item(tag)
        value = element.value
        if kind == "text" and isinstance(value, bytes):
            raw[tag] = value
        elif isinstance(value, bytes):
            if getattr(element, "is_little_endian", True):
                raw[tag] = value
            elif len(value) >= struct.calcsize(_SWAPPED[kind]):
                texts[tag] = str(struct.unpack_from(_SWAPPED[kind], value)[0])
        elif value is not None:
            parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
            texts[tag] = "\\".join(str(part) for part in parts)
    texts.update(decode(raw, wanted, codec))
    return Header(texts, sequences)
