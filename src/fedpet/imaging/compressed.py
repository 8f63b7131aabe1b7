"""Pixels that are compressed, or encoded as our own reader does not: decoded frame by frame."""

from __future__ import annotations

import io
import struct
import warnings
from functools import lru_cache
from typing import Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from fedpet.errors import DataError
from fedpet.imaging.little_endian import ENCAPSULATED
from fedpet.imaging.reading import UNREADABLE, read_with_pydicom
from fedpet.imaging.series import PixelFormat, Slice

_SIZES: Final = struct.Struct(">HH")
_SIZ: Final = struct.Struct(">4I")


def read_compressed(one: Slice, form: PixelFormat) -> NDArray[np.generic]:
    """Return the stored values of a slice, [rows, columns], as pydicom's decoders give them.

    Raises:
        DataError: If no decoder is there, the stream is damaged, or it holds an image of another
            size than the header says.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = _dataset(one.path, one.size, one.modified_ns)
            syntax = UID(dataset.file_meta.TransferSyntaxUID)
            if syntax.startswith(ENCAPSULATED):
                _require_size(dataset, one.frame, form)
            stored, _ = get_decoder(syntax).as_array(dataset, index=one.frame, raw=True)
            stored = np.asarray(stored)
    except UNREADABLE as error:
        raise DataError(
            "The pixels of a slice are compressed in a way that cannot be decoded here.",
            do="Export uncompressed (Explicit VR Little Endian).",
            code="FP-2111",
        ) from error
    if stored.shape != (form.rows, form.columns):
        raise _other_size("x".join(map(str, stored.shape)), form)
    return stored


@lru_cache(1)
def _dataset(path: str, size: int, modified_ns: int) -> pydicom.FileDataset:
    """Keep the file at hand, as the next slice may be its next frame."""
    del size, modified_ns
    return read_with_pydicom(path, pixels=True)


def _require_size(dataset: pydicom.Dataset, frame: int, form: PixelFormat) -> None:
    """Compare the size that a stream declares with the header, before a decoder makes room."""
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    stream = get_frame(dataset.PixelData, frame, number_of_frames=count)
    size = declared_size(stream)
    if size is not None and size != (form.rows, form.columns):
        raise _other_size(f"{size[0]}x{size[1]}", form)


def declared_size(stream: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream declares; None if neither.

    Source:
        ISO/IEC 10918-1 B.2.2 (SOFn), 14495-1 C.2.2 (SOF55), 15444-1 A.5.1 (SIZ).
    """
    if stream[:4] == b"\xff\x4f\xff\x51" and len(stream) >= 24:
        width, height, left, top = _SIZ.unpack_from(stream, 8)
        return height - top, width - left
    if stream[:2] != b"\xff\xd8":
        return None
    file = io.BytesIO(stream)
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        marker, length = head[1], _SIZES.unpack(head)[1]
        if marker == 0xFF:
            file.seek(-3, io.SEEK_CUR)
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            sizes = file.read(5)
            return _SIZES.unpack(sizes[1:]) if len(sizes) == 5 else None
        file.seek(length - 2, io.SEEK_CUR)
    return None


def _other_size(found: str, form: PixelFormat) -> DataError:
    return DataError(
        f"A slice holds {found} pixels, its header says {form.rows}x{form.columns}.",
        code="FP-2111",
    )
