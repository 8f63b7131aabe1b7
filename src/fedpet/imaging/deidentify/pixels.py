"""Faces of one subject's images, found in the volumes and blanked in the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.deidentify.face import Face, find_face
from fedpet.imaging.deidentify.refusals import modality_of
from fedpet.imaging.hounsfield import read_ct
from fedpet.imaging.intake import SeriesIntake, volume_key
from fedpet.imaging.pixels import read_pet
from fedpet.imaging.reading import UNREADABLE, look_at
from fedpet.imaging.scan import pet_facts
from fedpet.imaging.series import Series, identity_of
from fedpet.imaging.suv import to_suv
from fedpet.imaging.volume import Grid, Volume

AIR_HU = -1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Faces by frame of reference, and series in which one could not be looked for.

    Args:
        by_frame: Faces by (0020,0052); several volumes may each show one.
        refused: Reasons by (0020,000E).
    """

    by_frame: Mapping[str, tuple[Face, ...]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def find_faces(paths: Sequence[str]) -> Faces:
    """Look for the face in every PET and CT volume among a subject's files.

    A series whose slices are no complete volume is refused, as a face in it would be missed.
    """
    intakes: dict[tuple[str, ...], SeriesIntake] = {}
    refused: dict[str, str] = {}
    for path in paths:
        seen = look_at(path)
        header = seen.header
        modality = "" if header is None else modality_of(header.text(tags.SOP_CLASS))
        if header is None or modality not in ("PT", "CT"):
            continue
        if header.text(tags.MODALITY) != modality:
            refused[header.text(tags.SERIES_UID)] = "Its class and (0008,0060) Modality disagree."
            continue
        key = volume_key(header)
        intake = intakes.setdefault(key, SeriesIntake(header, identity_of(key)))
        intake.add(path, header, size=seen.size, modified_ns=seen.modified_ns)
    frames: dict[str, list[tuple[str, Volume]]] = {}
    for intake in intakes.values():
        try:
            series = intake.build()
            volume = _volume(series)
        except DataError as error:
            uid = intake.header.text(tags.SERIES_UID)
            refused[uid] = f"A face cannot be looked for in it: {error.title}"
            continue
        frames.setdefault(series.frame_uid, []).append((series.modality, volume))
    return Faces(
        by_frame={frame: _faces(volumes) for frame, volumes in frames.items()}, refused=refused
    )


def _volume(series: Series) -> Volume:
    """Read a CT as HU, a PET as SUV or, where that is not to be had, as if the mean were 1."""
    if series.modality == "CT":
        return read_ct(series)
    try:
        return read_pet(series, to_suv(pet_facts(series)).factors)
    except DataError:
        plain = read_pet(series, np.ones(len(series.slices)))
        largest = float(plain.array.max(initial=0.0))
        body = plain.array[plain.array > 0.02 * largest]
        mean = float(body.mean()) if body.size else 1.0
        return Volume(array=plain.array / np.float32(mean), grid=plain.grid)


def _faces(volumes: Sequence[tuple[str, Volume]]) -> tuple[Face, ...]:
    pets = [volume for modality, volume in volumes if modality == "PT"]
    pet = max(pets, key=lambda volume: volume.array.size, default=None)
    found = [find_face(pet, volume) for modality, volume in volumes if modality == "CT"]
    found += [find_face(one, None) for one in pets]
    return tuple(face for face in found if face is not None)


def blank_faces(dataset: Dataset, faces: Sequence[Face]) -> int:
    """Replace the faces in one axial image by air (CT) or nothing (PET).

    Args:
        dataset: A single-frame PET or CT image; its pixels are changed in place.
        faces: In its frame of reference.

    Returns:
        How many pixels were replaced.

    Raises:
        DataError: If its place is unknown, or its pixels cannot be decoded.
    """
    try:
        grid = _grid(dataset)
        mask = np.zeros(grid.shape[1:], bool)
        for face in faces:
            mask |= face.mask(grid, 0)
        if not mask.any():
            return 0
        stored = _stored(dataset)
        value = AIR_HU if dataset.Modality == "CT" else 0.0
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
        stored[mask] = _fitting(round((value - intercept) / slope), dataset)
        dataset.PixelData = stored.tobytes()
        dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    except UNREADABLE as error:
        raise DataError("A face cannot be removed from its pixels.", code="FP-2202") from error
    return int(mask.sum())


def _grid(dataset: Dataset) -> Grid:
    row, column = (
        np.array([float(part) for part in dataset.ImageOrientationPatient[start : start + 3]])
        for start in (0, 3)
    )
    position = [float(part) for part in dataset.ImagePositionPatient]
    down, across = (float(part) for part in dataset.PixelSpacing)
    normal = np.cross(row, column)
    return Grid(
        shape=(1, int(dataset.Rows), int(dataset.Columns)),
        spacing_mm=(1.0, down, across),
        origin_mm=(position[0], position[1], position[2]),
        direction=tuple(
            (float(one[0]), float(one[1]), float(one[2])) for one in (normal, column, row)
        ),
    )


def _stored(dataset: Dataset) -> NDArray[np.integer]:
    """Return the stored values as an array that may be written to, in the file's byte order."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    kind = "i" if dataset.PixelRepresentation else "u"
    count = int(dataset.Rows) * int(dataset.Columns)
    form = np.dtype(f"{order}{kind}{dataset.BitsAllocated // 8}")
    array: NDArray[np.integer] = np.frombuffer(dataset.PixelData, form, count).copy()
    return array.reshape(int(dataset.Rows), int(dataset.Columns))


def _fitting(value: int, dataset: Dataset) -> int:
    """Bring a stored value into the range that the bits can hold."""
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return min(max(value, low), high)
