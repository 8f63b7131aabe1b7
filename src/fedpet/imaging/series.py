"""Slices of one DICOM series in the order of the patient, with the grid they span."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.header import Header
from fedpet.imaging.volume import Grid

SPACING_TOLERANCE = 0.05
SPACING_TOLERANCE_MM = 0.15
SHEAR_MAX_MM = 0.1
# Length of a step from slice to slice over their distance: 45 degrees.
TILT_MAX = 1.4143


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How the pixels of a slice are stored.

    Args:
        rows: Rows.
        columns: Columns.
        bits: Bits allocated: 8, 16, 32 or 64.
        stored: Bits stored; higher bits are ignored.
        signed: Whether integers are two's complement.
        floating: Whether values are IEEE floats.
        native: Whether pixels lie uncompressed, little endian, in the file.
        deflated: Whether they do so once the file is inflated.
        padding: (0028,0120) as an unsigned number; None if absent.
    """

    rows: int
    columns: int
    bits: int
    stored: int
    signed: bool
    floating: bool
    native: bool
    padding: int | None = None
    deflated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One file of a series: where its pixels lie and what differs from slice to slice.

    Args:
        path: The file.
        offset: First byte of the pixels; in an inflated file if it is deflated.
        size: Bytes of the file.
        modified_ns: Time of its last change.
        instance_uid: (0008,0018).
        position: (0020,0032), LPS in mm.
        slope: (0028,1053).
        intercept: (0028,1052).
        acquired: Acquisition date and time in seconds; None if absent.
        frame_reference_s: (0054,1300) in seconds.
        frame_duration_s: (0018,1242) in seconds.
        frame: Number of the frame in a multi-frame object, from 0.
        meta: Where the deflated stream begins, if there is one.
    """

    path: str
    offset: int
    size: int
    modified_ns: int
    instance_uid: str
    position: tuple[float, float, float]
    slope: float
    intercept: float
    acquired: float | None
    frame_reference_s: float | None
    frame_duration_s: float | None
    frame: int = 0
    meta: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A volume: slices sorted along the normal, evenly spaced, none missing or doubled.

    Args:
        patient_id: (0010,0020).
        study_uid: (0020,000D).
        series_uid: (0020,000E).
        frame_uid: (0020,0052) Frame of Reference.
        modality: PT or CT.
        date: Study date, YYYYMMDD; empty if absent.
        description: (0008,103E).
        header: Of the first slice: what is equal in all slices.
        pixels: Storage of every slice.
        slices: In rising position along the normal.
        grid: The grid of the volume.
        dropped: Identical doubles that were left out.
        identity: What tells it from every other volume; secret, as it is made of identifiers.
        files: Number of files.
        reservation: Why it is not used unless a person chooses it; empty if there is no reason.
    """

    patient_id: str
    study_uid: str
    series_uid: str
    frame_uid: str
    modality: str
    date: str
    description: str
    header: Header
    pixels: PixelFormat
    slices: tuple[Slice, ...]
    grid: Grid
    dropped: int = 0
    identity: str = ""
    files: int = 0
    reservation: str = ""

    def content_digest(self) -> str:
        """Return a digest that changes if a file is replaced or a tag that SUV uses is altered."""
        digest = hashlib.sha256()
        for tag, text in sorted(self.header.values.items()):
            digest.update(f"{tag:08x}={text}\n".encode())
        for one in self.slices:
            digest.update(
                f"{one.instance_uid} {one.size} {one.modified_ns} {one.slope!r} {one.intercept!r} "
                f"{one.position!r} {one.acquired!r} {one.frame_reference_s!r}\n".encode()
            )
        return digest.hexdigest()


def identity_of(parts: tuple[str, ...]) -> str:
    """Return one word for what tells a volume from every other.

    Examples:
        >>> identity_of(("P1", "PT")) == identity_of(("P1", "PT", ""))
        False
    """
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def normal_of(orientation: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the unit normal of (0020,0037): row direction cross column direction."""
    normal: NDArray[np.float64] = np.cross(orientation[:3], orientation[3:])
    return normal


def check_orientation(orientation: tuple[float, ...]) -> None:
    """Refuse row and column directions that are not orthogonal unit vectors.

    Raises:
        DataError: If they are not.
    """
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = (np.linalg.norm(row), np.linalg.norm(column))
    if max(abs(length - 1) for length in lengths) > 1e-3 or abs(row @ column) > 1e-3:
        raise DataError(
            "(0020,0037) Image Orientation is not two orthogonal unit vectors.", code="FP-2116"
        )


def span_grid(
    positions: NDArray[np.float64],
    *,
    orientation: tuple[float, ...],
    spacing_mm: tuple[float, float],
    rows: int,
    columns: int,
    tilted: bool = False,
) -> Grid:
    """Return the grid of slices that are sorted along their normal.

    Args:
        positions: float64 [slices, 3], centres of the first pixels, LPS in mm, at least two.
        orientation: (0020,0037).
        spacing_mm: (0028,0030): between rows, between columns.
        rows: Rows.
        columns: Columns.
        tilted: Whether slices may be shifted evenly against each other, as a CT with a tilted
            gantry has them; the first axis of the grid is then not their normal.

    Raises:
        DataError: If slices are missing, unevenly spaced or sheared.

    Examples:
        >>> positions = np.array([[0.0, 0, 0], [0, 0, 3], [0, 0, 6]])
        >>> span_grid(positions, orientation=(1, 0, 0, 0, 1, 0), spacing_mm=(2.0, 2.0), rows=4,
        ...           columns=5).spacing_mm
        (3.0, 2.0, 2.0)
    """
    normal = normal_of(orientation)
    along = positions @ normal
    steps = np.diff(along)
    step = float(np.median(steps))
    if not 0.1 <= step <= 50:
        raise DataError(f"The slices are {step:g} mm apart, expected 0.1 to 50 mm.", code="FP-2116")
    tolerance = max(SPACING_TOLERANCE * step, SPACING_TOLERANCE_MM)
    uneven = np.flatnonzero(np.abs(steps - step) > tolerance)
    if uneven.size:
        _refuse_steps(steps[uneven], step)
    axis = (positions[-1] - positions[0]) / (along[-1] - along[0]) if tilted else normal
    shift = positions - positions[0] - np.outer(along - along[0], axis)
    length = float(np.linalg.norm(axis))
    if length > TILT_MAX:
        raise DataError("The gantry is tilted by more than 45 degrees.", code="FP-2116")
    if float(np.abs(shift).max()) > SHEAR_MAX_MM:
        raise DataError(
            f"The slices are shifted against each other by up to {np.abs(shift).max():.1f} mm "
            "(gantry tilt, or two volumes in one series).",
            code="FP-2116",
        )
    return Grid(
        shape=(len(positions), rows, columns),
        spacing_mm=(length * float(along[-1] - along[0]) / len(steps), *spacing_mm),
        origin_mm=_three(positions[0]),
        direction=(_three(axis / length), _three(orientation[3:]), _three(orientation[:3])),
    )


def _refuse_steps(steps: NDArray[np.float64], step: float) -> None:
    multiples = np.round(steps / step)
    if (multiples >= 2).all() and (np.abs(steps - multiples * step) <= 0.1 * step).all():
        raise DataError(
            f"{int((multiples - 1).sum())} slice(s) are missing in {len(steps)} place(s).",
            do="Export the complete series again.",
            code="FP-2116",
        )
    raise DataError(
        f"Slices are unevenly spaced: {steps.min():.2f} to {steps.max():.2f} mm where "
        f"{step:.2f} mm is usual.",
        do="Export the complete series again, one reconstruction only.",
        code="FP-2116",
    )


def _three(values: NDArray[np.float64] | tuple[float, ...]) -> tuple[float, float, float]:
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z
