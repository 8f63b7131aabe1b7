"""Lesions written as DICOM SEG, so that any viewer shows what was measured over the PET."""

from __future__ import annotations

import hashlib
import io
import sys
import warnings
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
import pydicom
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from fedpet import __version__
from fedpet.errors import DataError
from fedpet.imaging.places import read_place
from fedpet.imaging.reading import UNREADABLE
from fedpet.imaging.series import Series
from fedpet.imaging.volume import Volume

ABNORMAL: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION: Final = Code("52988006", "SCT", "Lesion")
NEIGHBOURHOOD: Final = Code("123101", "DCM", "Neighborhood Analysis")
SERIES_NUMBER: Final = 900
# Copied values of VR SH: longer ones, which some exports have, would make the SEG invalid.
SHORT: Final = ("StudyID", "AccessionNumber")
SHORT_MAX: Final = 16
HEADER_BYTES_MAX: Final = 1 << 30
# What incomplete headers make highdicom raise.
INCOMPLETE: Final = (AttributeError, KeyError, TypeError, ValueError)


def write_segmentation(lesions: Volume, pet: Series, path: Path, *, method: str) -> None:
    """Write lesions as a binary DICOM SEG that refers to the slices of its PET.

    Every lesion is a segment; slices without lesions are left out. Name, number and study of the
    patient are copied from the PET, as a PACS wants them: the file stays in the hospital. The
    same lesions of the same PET have the same identifiers every time.

    Args:
        lesions: uint16 labels 1, 2, ... on the PET's grid, at least one.
        pet: The PET that they lie on.
        path: The file to write; only its owner may read it.
        method: `given`, or what found them; it is named in the file.

    Raises:
        DataError: If there is no lesion, the grids differ, or the PET's header misses what a SEG
            must copy.

    Source:
        DICOM PS3.3 A.51; PS3.16 context groups 7150, 7151 and 7162.
    """
    if lesions.array.shape != pet.grid.shape:
        raise DataError("The lesions do not lie on the grid of the PET.", code="FP-2117")
    if not lesions.array.any():
        raise DataError("There is no lesion to write.", code="FP-2141")
    sources, frames = _sources(pet, lesions.array)
    numbers = np.unique(frames[frames > 0])
    compact = np.searchsorted(np.concatenate([[0], numbers]), frames).astype(np.uint16)
    identity = hashlib.sha256(compact.tobytes())
    identity.update(f"{pet.series_uid} {method}".encode())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = hd.seg.Segmentation(
                source_images=sources,
                pixel_array=compact,
                segmentation_type=SegmentationTypeValues.BINARY,
                segment_descriptions=[
                    _describe(number, method, identity.hexdigest())
                    for number in range(1, len(numbers) + 1)
                ],
                series_instance_uid=_uid(identity.hexdigest(), "series"),
                series_number=SERIES_NUMBER,
                sop_instance_uid=_uid(identity.hexdigest(), "instance"),
                instance_number=1,
                manufacturer="fedpet",
                manufacturer_model_name="fedpet",
                software_versions=__version__,
                device_serial_number="0",
                content_label="LESIONS",
                content_description="Lesions of the PET",
                series_description=f"Lesions ({method})",
            )
            buffer = io.BytesIO()
            made.save_as(buffer)
    except INCOMPLETE as error:
        raise DataError(
            "The lesions cannot be written as DICOM SEG.",
            why="The PET's header misses something that a SEG must copy.",
            do="Export the PET from the PACS with its whole header.",
            code="FP-2147",
        ) from error
    path.touch(mode=0o600)
    path.write_bytes(buffer.getvalue())


def _sources(pet: Series, labels: NDArray[np.uint16]) -> tuple[list[Dataset], NDArray[np.uint16]]:
    """Return the headers of the PET's files and the labels in the order of their frames."""
    files = {one.path for one in pet.slices}
    if len(files) == len(pet.slices):
        return [_header(one.path) for one in pet.slices], labels
    if len(files) > 1:
        raise DataError("The PET is made of several multi-frame objects.", code="FP-2147")
    whole = _header(pet.slices[0].path)
    frames = np.zeros((int(whole.get("NumberOfFrames", 1)), *labels.shape[1:]), np.uint16)
    frames[[one.frame for one in pet.slices]] = labels
    return [whole], frames


def _header(place: str) -> Dataset:
    data = read_place(place, count=min(HEADER_BYTES_MAX, sys.maxsize))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(io.BytesIO(data), force=True)
            for name in SHORT:
                if len(str(header.get(name) or "")) > SHORT_MAX:
                    setattr(header, name, str(header[name].value)[:SHORT_MAX].rstrip())
            return header
    except UNREADABLE as error:
        raise DataError("A slice of the PET cannot be read.", code="FP-2158") from error


def _describe(number: int, method: str, identity: str) -> SegmentDescription:
    by_hand = method == "given"
    return SegmentDescription(
        segment_number=number,
        segment_label=f"Lesion {number}",
        segmented_property_category=ABNORMAL,
        segmented_property_type=LESION,
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL
        if by_hand
        else SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=None
        if by_hand
        else hd.AlgorithmIdentificationSequence(
            name=f"fedpet {method}", version=__version__, family=NEIGHBOURHOOD
        ),
        tracking_uid=_uid(identity, f"lesion {number}"),
        tracking_id=f"Lesion {number}",
    )


def _uid(*parts: str) -> str:
    """Return an identifier that depends on nothing but its parts (PS3.5 B.2, UUID version 8)."""
    number = int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"
