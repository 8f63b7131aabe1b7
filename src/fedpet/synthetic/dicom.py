"""Series of DICOM files from one template: pydicom writes one slice, bytes are patched per slice.

A slice differs from its neighbour in a few values of known place and width. Writing them into
a copy of the first slice's bytes costs a twentieth of building every data set anew.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

MAKER = "2.25.302934798123471230498712340981237401"
UID_WIDTH = 44


def make_uid(*parts: str | int) -> str:
    """Derive a unique identifier of 44 characters from what it stands for.

    Source:
        PS3.5 B.2: root 2.25 followed by a UUID as a decimal integer; the UUID is of version 8
        (RFC 9562), its bits from SHA-256, its first bit set so that all have one length.

    Examples:
        >>> len(make_uid("a", 1)), make_uid("a", 1) == make_uid("a", 1)
        (44, True)
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    number = int.from_bytes(digest[:16], "big") | 1 << 127
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"


def to_bytes(data_set: Dataset) -> bytes:
    """Encode a data set as a DICOM file (explicit VR, little endian)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = MAKER
    meta.ImplementationVersionName = "FEDPET_PHANTOM"
    data_set.file_meta = meta
    out = io.BytesIO()
    pydicom.dcmwrite(out, data_set, enforce_file_format=True)
    return out.getvalue()


def write_series(
    template: Dataset,
    pixels: NDArray[np.uint16] | NDArray[np.int16],
    changes: Mapping[int, Sequence[str | int]],
    files: Sequence[Path],
) -> int:
    """Write one file per slice.

    Args:
        template: A complete slice without pixel data. Its values for the tags of `changes` are
            at least as long as any that will stand there.
        pixels: Stored values, 16 bit, [slices, rows, columns].
        changes: By tag, one value per slice. (0008,0018) is written to the file meta as well.
        files: Where each slice goes; folders must exist.

    Returns:
        Bytes written.
    """
    template.PixelData = bytes(pixels[0].nbytes)
    template["PixelData"].VR = "OW"
    whole = to_bytes(template)
    rows = np.tile(np.frombuffer(whole, np.uint8), (len(pixels), 1))
    header = len(whole) - pixels[0].nbytes
    for tag, values in changes.items():
        _patch(rows, whole[:header], tag, template[tag].VR, values)
    _patch(rows, whole[:header], 0x00020003, "UI", changes[0x00080018])
    stored = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    rows[:, header:] = stored.reshape(len(pixels), -1).view(np.uint8)
    for row, file in zip(rows, files, strict=True):
        with file.open("wb", buffering=0) as out:
            out.write(row.data)
    return int(rows.size)


def _patch(
    rows: NDArray[np.uint8], header: bytes, tag: int, vr: str, values: Sequence[str | int]
) -> None:
    mark = tag.to_bytes(4, "big")
    mark = bytes((mark[1], mark[0], mark[3], mark[2])) + vr.encode()
    assert header.count(mark) == 1, f"{tag:08x} is not a single top-level element"
    start = header.index(mark) + 8
    width = int.from_bytes(header[start - 2 : start], "little")
    padding = b"\0" if vr == "UI" else b" "
    encoded = [
        value.to_bytes(width, "little")
        if isinstance(value, int)
        else value.encode().ljust(width, padding)
        for value in values
    ]
    assert all(len(value) == width for value in encoded), f"{tag:08x} is too narrow"
    rows[:, start : start + width] = np.frombuffer(b"".join(encoded), np.uint8).reshape(-1, width)
