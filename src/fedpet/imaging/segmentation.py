"""Lesions painted voxel by voxel: DICOM SEG to labels."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.contours import Drawn
from fedpet.imaging.header import Header
from fedpet.imaging.little_endian import DEFLATED, NATIVE
from fedpet.imaging.places import read_deflated, read_place
from fedpet.imaging.reading import UNREADABLE, read_header, read_with_pydicom
from fedpet.imaging.regions import is_lesion, number_lesions, organ_of
from fedpet.imaging.series import check_orientation, normal_of
from fedpet.imaging.volume import Grid, Volume

VOXELS_MAX = 2**30
# How far off its plane a frame may lie, in planes.
PLANE_TOLERANCE = 0.2


def read_segmentation(path: str, *, step_mm: float | None = None) -> Drawn:
    """Read the lesion segments of a DICOM SEG on the grid that its frames span.

    Empty frames may be left out of the file, frames may come in any order, and segments may
    overlap (the first counts). Fractional segments count from one half.

    Args:
        path: The SEG.
        step_mm: Distance of the slices of the image that it was drawn on, if that is known: of a
            few frames far apart nothing else tells how thick they are.

    Returns:
        Labels on the SEG's own grid.

    Raises:
        DataError: If the file is damaged or its frames do not span a grid.

    Source:
        DICOM PS3.3 A.51 and C.8.20; bits are packed from the lowest (PS3.5 8.1.1).
    """
    header = read_header(path, tags.SEGMENTATION)
    if header is None:
        raise DataError("The DICOM SEG is not DICOM any more.", code="FP-2118")
    wanted = {
        item.text(tags.SEGMENT_NUMBER): is_lesion(
            item.text(tags.SEGMENT_LABEL), item.first(tags.SEGMENT_CATEGORY).text(tags.CODE_VALUE)
        )
        for item in header.items(tags.SEGMENTS)
    }
    left_out = sum(not taken for taken in wanted.values())
    numbers = [number for number, taken in wanted.items() if taken]
    organs = {
        item.text(tags.SEGMENT_NUMBER): organ
        for item in header.items(tags.SEGMENTS)
        if not wanted[item.text(tags.SEGMENT_NUMBER)]
        and (organ := organ_of(item.text(tags.SEGMENT_LABEL)))
    }
    groups = header.items(tags.FRAME_GROUPS)
    shared = header.first(tags.SHARED_GROUPS)
    segments = [_segment(group, shared) for group in groups]
    if not any(segment in numbers or segment in organs for segment in segments):
        return Drawn(labels=None, regions=0, left_out=left_out)
    grid, planes = _span(header, groups, shared, step_mm)
    frames = _frames(path, header, len(groups))
    masks = {number: np.zeros(grid.shape, bool) for number in (*numbers, *organs)}
    for frame, segment, plane in zip(frames, segments, planes, strict=True):
        if segment in masks:
            masks[segment][plane] |= frame
    labels = None
    if any(segment in numbers for segment in segments):
        labels = Volume(array=number_lesions([masks[number] for number in numbers]), grid=grid)
    return Drawn(
        labels=labels,
        regions=len(numbers) if labels is not None else 0,
        left_out=left_out,
        organs={
            organ: Volume(array=masks[number].astype(np.uint16), grid=grid)
            for number, organ in organs.items()
        },
    )


def _segment(group: Header, shared: Header) -> str:
    for place in (group, shared):
        number = place.first(tags.SEGMENT_IDENTIFICATION).text(tags.FRAME_SEGMENT)
        if number:
            return number
    raise DataError("A frame of the DICOM SEG names no segment.", code="FP-2118")


def _either(
    group: Header, shared: Header, sequence: int, tag: int, count: int
) -> tuple[float, ...]:
    for place in (group, shared):
        numbers = place.first(sequence).numbers(tag)
        if len(numbers) == count:
            return numbers
    raise DataError(
        "A frame of the DICOM SEG has no position, orientation or spacing.", code="FP-2118"
    )


def _span(
    header: Header, groups: tuple[Header, ...], shared: Header, step_mm: float | None
) -> tuple[Grid, list[int]]:
    """Return the grid of all frames and the plane of each."""
    orientations = {_either(g, shared, tags.PLANE_ORIENTATION, tags.ORIENTATION, 6) for g in groups}
    spacings = {_either(g, shared, tags.PIXEL_MEASURES, tags.PIXEL_SPACING, 2) for g in groups}
    if len(orientations) != 1 or len(spacings) != 1:
        raise DataError("The frames of the DICOM SEG differ in orientation.", code="FP-2118")
    orientation, spacing = orientations.pop(), spacings.pop()
    check_orientation(orientation)
    if not 0.1 <= min(spacing) <= max(spacing) <= 50:
        raise DataError("The DICOM SEG has no usable pixel spacing.", code="FP-2118")
    positions = np.array(
        [_either(group, shared, tags.PLANE_POSITION, tags.POSITION, 3) for group in groups]
    )
    along = positions @ normal_of(orientation)
    levels = np.unique(np.round(along, 3))
    step = _step(levels, step_mm)
    # The mean of all gaps in units of the smallest is the finer estimate of the step.
    multiples = np.rint((levels - levels[0]) / step)
    if multiples[-1] > 0:
        step = float((levels[-1] - levels[0]) / multiples[-1])
    fraction = (along - levels[0]) / step
    planes = np.rint(fraction).astype(int)
    rows, columns = int(header.text(tags.ROWS) or 0), int(header.text(tags.COLUMNS) or 0)
    depth = int(planes.max()) + 1
    if (
        np.abs(fraction - planes).max() > PLANE_TOLERANCE
        or not 0 < depth * rows * columns <= VOXELS_MAX
    ):
        raise DataError("The frames of the DICOM SEG do not span a grid.", code="FP-2118")
    origin = positions[int(np.argmin(along))]
    normal = normal_of(orientation)
    grid = Grid(
        shape=(depth, rows, columns),
        spacing_mm=(step, spacing[0], spacing[1]),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=(
            (float(normal[0]), float(normal[1]), float(normal[2])),
            (orientation[3], orientation[4], orientation[5]),
            (orientation[0], orientation[1], orientation[2]),
        ),
    )
    return grid, planes.tolist()


def _step(levels: NDArray[np.float64], step_mm: float | None) -> float:
    """Return the distance of neighbouring planes: the image's if it fits, else the least gap."""
    if step_mm is not None:
        steps = (levels - levels[0]) / step_mm
        if np.abs(steps - np.rint(steps)).max() <= PLANE_TOLERANCE:
            return step_mm
    gaps = np.diff(levels)
    return float(gaps[gaps > 0.05].min()) if (gaps > 0.05).any() else 1.0


def _frames(path: str, header: Header, count: int) -> NDArray[np.bool_]:
    rows, columns = int(header.text(tags.ROWS) or 0), int(header.text(tags.COLUMNS) or 0)
    fractional = header.text(tags.SEGMENTATION_TYPE) == "FRACTIONAL"
    half = int(header.text(tags.FRACTION_MAX) or 255) / 2 if fractional else 0.5
    if count * rows * columns > VOXELS_MAX:
        raise DataError("The DICOM SEG is larger than any scan.", code="FP-2118")
    bits = int(header.text(tags.BITS_ALLOCATED) or 0)
    data = _plain_bytes(path, header, -(-count * rows * columns * bits // 8))
    if data is not None:
        if bits == 1:
            data = np.unpackbits(data, bitorder="little")
        if bits not in (1, 8) or len(data) < count * rows * columns:
            raise DataError("The DICOM SEG ends before its last frame.", code="FP-2118")
        values: NDArray[np.number] = data[: count * rows * columns]
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = np.asarray(read_with_pydicom(path, pixels=True).pixel_array)
        except UNREADABLE as error:
            raise DataError("The DICOM SEG cannot be decoded.", code="FP-2118") from error
        if values.size != count * rows * columns:
            raise DataError("The DICOM SEG ends before its last frame.", code="FP-2118")
    frames: NDArray[np.bool_] = values.reshape(count, rows, columns) >= half
    return frames


def _plain_bytes(path: str, header: Header, most: int) -> NDArray[np.uint8] | None:
    """Return up to `most` bytes of plain pixels; None where pydicom must find or decode them."""
    if header.pixels is None:
        return None
    _, start, count = header.pixels
    if start < 0 or count < 0 or header.syntax not in (*NATIVE, DEFLATED):
        return None
    count = min(count, most)
    if header.syntax == DEFLATED:
        data = read_deflated(path, meta=header.meta, start=start, count=count)
    else:
        data = read_place(path, start=start, count=count)
    return np.frombuffer(data, np.uint8)
