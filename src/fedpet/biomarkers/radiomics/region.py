"""What radiomics read: a region cut out of an image, on the voxels and levels that were asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.errors import DataError
from fedpet.imaging.volume import Volume

# Room around the region: for the sphere of the local peak and for cubic splines.
MARGIN_MM: Final = 8.0
MARGIN_VOXELS: Final = 4
LEVELS_MAX: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region of an image.

    Args:
        values: float64 [z, y, x], the image around the region.
        shape: bool, what was drawn: morphology is measured on it.
        inside: bool, the part of `shape` whose intensities count.
        spacing_mm: Voxel size along (z, y, x).
    """

    values: NDArray[np.float64]
    shape: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How intensities become levels 1, 2, ...

    Args:
        width: Of one level, in the image's unit; None with `count`.
        lowest: Where level 1 begins; the region's smallest value if None.
        count: Levels between the region's smallest and largest value; None with `width`.

    Source:
        IBSI reference manual 2.7: fixed bin size (`width`) and fixed bin number (`count`).
    """

    width: float | None = None
    lowest: float | None = None
    count: int | None = None


def cut_region(
    image: Volume,
    inside: NDArray[np.bool_],
    *,
    spacing_mm: tuple[float, float, float] | None = None,
    order: int = 1,
    whole_numbers: bool = False,
    value_range: tuple[float, float] | None = None,
    outliers_sd: float | None = None,
) -> Region:
    """Cut a region out of an image, in the order of the IBSI scheme.

    Args:
        image: SUV or HU.
        inside: Voxels of the region, at least one, on the image's grid.
        spacing_mm: New voxel size along (z, y, x), the new grid centred on the old; None keeps
            the voxels. The mask is interpolated linearly and counts from one half.
        order: Of the interpolation of the image: 1 linear, 3 cubic spline.
        whole_numbers: Round interpolated intensities, as HU are whole.
        value_range: Intensities (lowest, highest) that count; none is left out if None.
        outliers_sd: Leave out intensities further from the mean than this many SD.

    Raises:
        DataError: If no voxel is left, or a value is not finite.

    Source:
        IBSI reference manual 2.4 (interpolation), 2.5 (re-segmentation).
    """
    found = ndimage.find_objects(inside.astype(np.uint8))
    if not found:
        raise DataError("The region has no voxel.", do="Give a mask with at least one voxel.")
    margins = [
        max(MARGIN_VOXELS, int(np.ceil(MARGIN_MM / step))) + 1 for step in image.grid.spacing_mm
    ]
    box = tuple(
        slice(max(0, side.start - margin), min(count, side.stop + margin))
        for side, margin, count in zip(found[0], margins, image.array.shape, strict=True)
    )
    values, shape = image.array[box].astype(np.float64), inside[box]
    if not np.isfinite(values).all():
        raise DataError("The image holds values that are not finite.", code="FP-2115")
    spacing = image.grid.spacing_mm
    if spacing_mm is not None and spacing_mm != spacing:
        starts = np.array([side.start for side in box])
        points = _points(image, values.shape, starts, spacing_mm)
        values = _sampled(values, points, order)
        shape = _sampled(shape.astype(np.float64), points, 1) >= 0.5 - 1e-9
        spacing = spacing_mm
        if whole_numbers:
            values = np.rint(values)
    kept = shape.copy()
    if value_range is not None:
        kept &= (values >= value_range[0]) & (values <= value_range[1])
    if outliers_sd is not None and kept.any():
        middle, spread = values[kept].mean(), values[kept].std()
        kept &= np.abs(values - middle) <= outliers_sd * spread
    if not kept.any():
        raise DataError("No voxel of the region is left.", why="It is too small or out of range.")
    return Region(values=values, shape=shape, inside=kept, spacing_mm=spacing)


def _points(
    image: Volume,
    counts: tuple[int, ...],
    starts: NDArray[np.int64],
    spacing_mm: tuple[float, float, float],
) -> list[NDArray[np.float64]]:
    """Return, per axis, where in the cut the new voxels lie that fall into it.

    The new grid and the whole old one share their centre (IBSI: align by centre).
    """
    points = []
    for axis, new in enumerate(spacing_mm):
        old, total = image.grid.spacing_mm[axis], image.array.shape[axis]
        number = int(np.ceil(total * old / new - 1e-9))
        first = 0.5 * ((total - 1) - (number - 1) * new / old)
        along = first + np.arange(number) * new / old - starts[axis]
        points.append(along[(along >= 0) & (along <= counts[axis] - 1)])
    return points


def _sampled(
    values: NDArray[np.float64], points: list[NDArray[np.float64]], order: int
) -> NDArray[np.float64]:
    """Interpolate on a grid, axis by axis where linear."""
    if order != 1:
        grid = np.meshgrid(*points, indexing="ij")
        sampled: NDArray[np.float64] = ndimage.map_coordinates(
            values, grid, order=order, mode="mirror"
        )
        return sampled
    for axis, along in enumerate(points):
        low = np.minimum(along.astype(np.int64), max(0, values.shape[axis] - 2))
        high = np.minimum(low + 1, values.shape[axis] - 1)
        share = (along - low).reshape([-1 if one == axis else 1 for one in range(3)])
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values


def to_levels(region: Region, levels: Levels) -> NDArray[np.int64]:
    """Return the level of each voxel, 0 outside of the region.

    Raises:
        DataError: If `levels` says neither or both of width and count, or asks too many.

    Examples:
        >>> values = np.array([[[0.0, 0.3, 0.9, 1.0]]])
        >>> inside = np.ones(values.shape, bool)
        >>> one = Region(values=values, shape=inside, inside=inside, spacing_mm=(1.0, 1.0, 1.0))
        >>> to_levels(one, Levels(width=0.25, lowest=0.0)).tolist()
        [[[1, 2, 4, 5]]]
        >>> to_levels(one, Levels(count=4)).tolist()
        [[[1, 2, 4, 4]]]
    """
    if (levels.width is None) == (levels.count is None):
        raise DataError("Give either the width of a level or the number of levels.")
    values = region.values[region.inside]
    low, high = float(values.min()), float(values.max())
    if levels.width is not None:
        if not levels.width > 0:
            raise DataError(f"The width of a level is {levels.width:g}, expected more than 0.")
        start = low if levels.lowest is None else levels.lowest
        steps = np.floor((values - start) / levels.width) + 1
    else:
        count = levels.count or 0
        if count < 1:
            raise DataError(f"{count} levels were asked, expected at least 1.")
        scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
        steps = np.minimum(np.floor(scaled * count) + 1, count)
    if steps.min() < 1 or steps.max() > LEVELS_MAX:
        raise DataError(
            f"The levels go from {steps.min():.0f} to {steps.max():.0f}; "
            f"expected 1 to {LEVELS_MAX}.",
            do="Choose wider levels, or a lower start.",
        )
    placed = np.zeros(region.values.shape, np.int64)
    placed[region.inside] = steps.astype(np.int64)
    return placed
