"""Lesions drawn as contours: DICOM RTSTRUCT to labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.reading import read_header
from fedpet.imaging.regions import is_lesion, number_lesions, organ_of
from fedpet.imaging.volume import Grid, Volume

# Contours that are nearer to each other than this, in slices, belong to one slice.
SAME_SLICE = 0.05
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Lesions from a mask file.

    Args:
        labels: uint16 labels on their own grid; None if the file holds no lesion.
        regions: Regions that were taken.
        left_out: Regions that are organs or helper structures.
        organs: Those of them that biomarkers are measured on, by `regions.organ_of`.
    """

    labels: Volume | None
    regions: int
    left_out: int
    organs: Mapping[str, Volume] = field(default_factory=dict)


def read_structures(path: str, grid: Grid) -> Drawn:
    """Fill the contours of an RTSTRUCT on the grid that they were drawn on.

    A voxel belongs to a region if an odd number of the region's contours in its slice go around
    its centre, so that a contour inside another one cuts a hole. Where contours were drawn on
    thinner slices than those of `grid`, a slice takes those that lie nearest to it.

    Args:
        path: The RTSTRUCT.
        grid: Grid of the PET or CT that it was drawn on.

    Returns:
        Labels on the part of `grid` that holds the regions.

    Raises:
        DataError: If the file is damaged, or a contour does not lie in a slice of the grid.

    Source:
        DICOM PS3.3 C.8.8.6; filling as in the IBSI reference masks.
    """
    header = read_header(path, tags.STRUCTURE)
    if header is None:
        raise DataError("The RTSTRUCT is not DICOM any more.", code="FP-2118")
    names = {
        item.text(tags.REGION_NUMBER): item.text(tags.REGION_NAME)
        for item in header.items(tags.STRUCTURE_REGIONS)
    }
    regions = []
    organs: dict[str, Volume] = {}
    left_out = 0
    for item in header.items(tags.REGION_CONTOURS):
        contours = [
            _to_index(one.numbers(tags.CONTOUR_DATA), grid)
            for one in item.items(tags.CONTOURS)
            if one.text(tags.CONTOUR_TYPE) in CLOSED
        ]
        if not contours:
            continue
        name = names.get(item.text(tags.CONTOUR_REGION), "")
        if is_lesion(name):
            regions.append(contours)
            continue
        left_out += 1
        if organ := organ_of(name):
            organs[organ] = _fill([contours], grid)
    labels = _fill(regions, grid) if regions else None
    return Drawn(labels=labels, regions=len(regions), left_out=left_out, organs=organs)


def _to_index(numbers: tuple[float, ...], grid: Grid) -> NDArray[np.float64]:
    """Return the points of a contour as indices (z, y, x), z the same for all of them."""
    if len(numbers) < 3 or len(numbers) % 3:
        raise DataError("A contour of the RTSTRUCT is not made of points.", code="FP-2118")
    points = grid.to_index(np.array(numbers).reshape(-1, 3))
    plane = points[:, 0].mean()
    if np.abs(points[:, 0] - np.rint(plane)).max() > 0.6:
        raise DataError(
            "A contour does not lie in one slice of the image it was drawn on.",
            do="Export the mask as DICOM SEG, or draw it on transaxial slices.",
            code="FP-2117",
        )
    points[:, 0] = plane
    return points


def _fill(regions: list[list[NDArray[np.float64]]], grid: Grid) -> Volume:
    everything = np.concatenate([points for contours in regions for points in contours])
    everything[:, 0] = np.rint(everything[:, 0])
    low = np.maximum(np.floor(everything.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(everything.max(axis=0)), np.array(grid.shape) - 1).astype(int)
    if (low > high).any():
        raise DataError("The contours lie outside of the image.", code="FP-2117")
    depth, rows, columns = (int(extent) for extent in high - low + 1)
    masks = []
    for contours in regions:
        mask = np.zeros((depth, rows, columns), bool)
        for points in _nearest(contours):
            plane = int(np.rint(points[0, 0])) - int(low[0])
            if 0 <= plane < depth:
                mask[plane] ^= fill_polygon(points[:, 1:] - low[1:], rows=rows, columns=columns)
        masks.append(mask)
    origin = grid.to_lps(low.astype(np.float64))
    part = Grid(
        shape=(depth, rows, columns),
        spacing_mm=grid.spacing_mm,
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=grid.direction,
    )
    return Volume(array=number_lesions(masks), grid=part)


def _nearest(contours: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Keep of the contours of each plane those of one slice: the nearest, the lower of two."""
    levels: dict[int, float] = {}
    for points in contours:
        place = float(points[0, 0])
        plane = round(place)
        best = levels.setdefault(plane, place)
        if abs(place - plane) < abs(best - plane) - SAME_SLICE:
            levels[plane] = place
    return [
        points
        for points in contours
        if abs(float(points[0, 0]) - levels[round(float(points[0, 0]))]) <= SAME_SLICE
    ]


def fill_polygon(points: NDArray[np.float64], *, rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie inside a polygon, by the even-odd rule.

    Args:
        points: float64 [points, 2], (row, column) as fractional indices; closed by itself.
        rows: Rows.
        columns: Columns.

    Returns:
        bool [rows, columns].

    Examples:
        >>> square = np.array([(0.5, 0.5), (0.5, 2.5), (2.5, 2.5), (2.5, 0.5)])
        >>> fill_polygon(square, rows=4, columns=4).sum().item()
        4
    """
    y0, x0 = points.T
    y1, x1 = np.roll(points, -1, axis=0).T
    # An edge crosses the rows from ceil(lower end) to just below ceil(upper end), so that a
    # vertex on a row counts once.
    first = np.maximum(np.ceil(np.minimum(y0, y1)), 0).astype(np.int64)
    stop = np.minimum(np.ceil(np.maximum(y0, y1)), rows).astype(np.int64)
    counts = np.maximum(stop - first, 0)
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    crossing = x0[edge] + (row - y0[edge]) * slope
    column = np.clip(np.ceil(crossing), 0, columns).astype(np.int64)
    toggles = np.zeros((rows, columns + 1), np.int64)
    np.add.at(toggles, (row, column), 1)
    inside: NDArray[np.bool_] = (np.cumsum(toggles, axis=1)[:, :columns] & 1).astype(bool)
    return inside
