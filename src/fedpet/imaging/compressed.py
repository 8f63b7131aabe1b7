"""Pixels that are compressed, or encoded as our own reader does not: decoded frame by frame."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless

from fedpet.errors import DataError
from fedpet.imaging.jpeg_streams import check_stream
from fedpet.imaging.little_endian import ENCAPSULATED
from fedpet.imaging.reading import UNREADABLE, read_with_pydicom
from fedpet.imaging.series import PixelFormat, Slice

# The well-kept decoders of each family, before the many of GDCM.
_PLUGINS: Final = {
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls"),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000), "pylibjpeg"),
}


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
                _check(dataset, one.frame, form)
            stored, _ = get_decoder(syntax).as_array(
                dataset, index=one.frame, raw=True, decoding_plugin=_PLUGINS.get(syntax, "")
            )
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


def _check(dataset: pydicom.Dataset, frame: int, form: PixelFormat) -> None:
    """Look at a stream before a decoder makes room for what it declares."""
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    stream = get_frame(dataset.PixelData, frame, number_of_frames=count)
    check_stream(stream, rows=form.rows, columns=form.columns, bits=form.bits)


def _other_size(found: str, form: PixelFormat) -> DataError:
    return DataError(
        f"A slice holds {found} pixels, its header says {form.rows}x{form.columns}.",
        code="FP-2111",
    )
