"""The header of one DICOM file: by our own reader, and by pydicom where that one declines.

The own reader covers what PACS write and needs a tenth of a millisecond. Anything unusual (big
endian, deflated, tags out of order, odd value types) goes to pydicom; what pydicom cannot read
either ends in a DataError.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.header import Header
from fedpet.imaging.little_endian import (
    IMPLICIT,
    MoreError,
    UnusualError,
    codec_of,
    decode,
    parse_file,
)
from fedpet.imaging.tags import Wanted

CHUNK_BYTES = 8192
UNREADABLE = (
    *(InvalidDicomError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError),
    *(NotImplementedError, IndexError, OverflowError, RecursionError, MemoryError),
    *(struct.error, zlib.error, BytesLengthException, RuntimeError),
)


def read_header(path: str, wanted: Wanted = tags.INDEX) -> Header | None:
    """Read the wanted attributes of a file.

    Args:
        path: Any file.
        wanted: Attributes to decode.

    Returns:
        The header, or None if the file is not DICOM (no `DICM` behind the preamble).

    Raises:
        DataError: If the file cannot be opened, or neither reader understands it.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - Path costs as much as parsing
            head = file.read(CHUNK_BYTES)
            if head[128:132] != b"DICM":
                return None
            size = os.fstat(file.fileno()).st_size
            while True:
                try:
                    return parse_file(head, wanted)
                except MoreError:
                    more = file.read(7 * len(head)) if len(head) < size else b""
                    if not more:
                        break
                    head += more
                except UnusualError:
                    break
    except OSError as error:
        raise DataError(
            f"A file cannot be opened: {error.strerror}.", code="FP-2111", do="Check its rights."
        ) from error
    return _read_with_pydicom(path, wanted)


def _read_with_pydicom(path: str, wanted: Wanted) -> Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
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
            swap = getattr(element, "is_little_endian", True)
            raw[tag] = value[:2] if swap else value[1::-1]
        elif value is not None:
            parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
            texts[tag] = "\\".join(str(part) for part in parts)
    texts.update(decode(raw, wanted, codec))
    return Header(texts, sequences)
