"""The CT of a scan as Hounsfield units: whole, or only as much of it as another grid can show.

A CT has thirty times as many voxels as the grid that models read. Averaging slice by slice while
reading keeps the whole of it out of memory, and gives what averaging it afterwards would give.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.grid import thinned, thinning
from fedpet.imaging.pixels import read_stored
from fedpet.imaging.places import INSIDE
from fedpet.imaging.resample import parallel_axes, plane_means
from fedpet.imaging.series import PixelFormat, Series, Slice
from fedpet.imaging.volume import Grid, Volume

HU_MIN: Final = -1024
HU_MAX: Final = 3071


def read_ct(series: Series, *, onto: Grid | None = None) -> Volume:
    """Read a CT as Hounsfield units in -1024..3071; padding becomes air.

    Args:
        series: A CT series.
        onto: The grid that the CT will be brought to, if that is all it is read for. Rows and
            columns beyond it are not read, and blocks of voxels are averaged to about its
            voxel size, as `grid.to_common_grid` would do.

    Returns:
        int16 [slices, rows, columns] on the CT's own grid; with `onto` and a coarser grid, float32
        on the grid of the blocks.

    Raises:
        DataError: If a slice cannot be read or a value is not finite.
    """
    part = _Part.whole(series.grid) if onto is None else _Part.needed(series.grid, onto)
    if max(part.factors) == 1:
        hu = np.empty((len(series.slices), *part.shape), np.int16)
        whole = part.columns == slice(0, series.pixels.columns)
        for one, plane in zip(series.slices, hu, strict=True):
            if whole:
                _read(one, series.pixels, part, plane)
            else:
                plane[...] = _read(one, series.pixels, part)[:, part.columns]
        return Volume(array=hu, grid=part.grid(series.grid, len(hu)))
    planes = list(plane_means(_groups(series, part), part.factors, largest=HU_MAX))
    return Volume(array=np.stack(planes), grid=part.grid(series.grid, len(planes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Which rows and columns are read, and how many voxels along (z, y, x) are averaged."""

    rows: slice
    columns: slice
    factors: tuple[int, int, int]

    @classmethod
    def whole(cls, grid: Grid) -> _Part:
        """Everything, as it is."""
        _, rows, columns = grid.shape
        return cls(rows=slice(0, rows), columns=slice(0, columns), factors=(1, 1, 1))

    @classmethod
    def needed(cls, grid: Grid, onto: Grid) -> _Part:
        """What another grid can show; everything where it stands at an angle."""
        factors = thinning(grid, onto)
        axes = parallel_axes(grid, onto)
        sides = [slice(0, grid.shape[axis] // factors[axis] * factors[axis]) for axis in (1, 2)]
        if axes is not None:
            places = dict(zip(axes.order, axes.places, strict=True))
            sides = [_span(places[axis], factors[axis], grid.shape[axis]) for axis in (1, 2)]
        return cls(rows=sides[0], columns=sides[1], factors=factors)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that are read."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def grid(self, source: Grid, planes: int) -> Grid:
        """Return the grid of what was read."""
        rows, columns = (
            count // factor for count, factor in zip(self.shape, self.factors[1:], strict=True)
        )
        return thinned(
            source,
            self.factors,
            first=(0, self.rows.start, self.columns.start),
            shape=(planes, rows, columns),
        )


def _span(places: NDArray[np.float64], factor: int, count: int) -> slice:
    """Return the blocks that places lie in or between, in voxels."""
    blocks = count // factor
    low, high = (float(end) / factor for end in (places.min(), places.max()))
    first = min(max(int(low) - 2, 0), blocks - 1)
    last = min(max(int(high) + 3, first + 1), blocks)
    return slice(first * factor, last * factor)


def _groups(series: Series, part: _Part) -> Iterator[list[NDArray[np.int16]]]:
    """Yield the slices that are averaged with each other; a rest at the end is left out."""
    depth = part.factors[0]
    rows = part.rows.stop - part.rows.start
    space = np.empty((depth, rows, series.pixels.columns), np.int16)  # stays in the cache
    for first in range(0, len(series.slices) - depth + 1, depth):
        group = series.slices[first : first + depth]
        yield [
            _read(one, series.pixels, part, out)[:, part.columns]
            for one, out in zip(group, space, strict=True)
        ]


def _read(
    one: Slice, form: PixelFormat, part: _Part, out: NDArray[np.int16] | None = None
) -> NDArray[np.int16]:
    """Read the rows of a slice that are needed, in HU, all columns."""
    if out is None:
        out = np.empty((part.rows.stop - part.rows.start, form.columns), np.int16)
    limits = _limits(one, form)
    if limits is None:
        out[...] = _converted(read_stored(one, form)[part.rows], one, form)
        return out
    stored = out.view(np.int16 if form.signed else np.uint16)
    start = one.offset + 2 * part.rows.start * form.columns
    try:
        with open(one.path, "rb", buffering=0) as file:  # noqa: PTH123 - called for each slice
            file.seek(start)
            count = file.readinto(stored.data)
    except OSError as error:
        raise DataError(f"A slice cannot be read: {error.strerror}.", code="FP-2111") from error
    if count != stored.nbytes:
        raise DataError(
            "A slice ends before its last pixel.", do="Export the series again.", code="FP-2111"
        )
    _bounded(stored, form, limits)
    # Modulo 2^16, as the sum lies within 16 bits with a sign whatever the type of the pixels.
    out += np.array(int(one.intercept) & 0xFFFF, np.uint16).view(np.int16)
    return out


def _bounded(stored: NDArray[np.integer], form: PixelFormat, limits: tuple[int, int]) -> None:
    """Clear bits that are no part of the value, and clip, where there is anything to do.

    Looking for the extremes takes a tenth of the time of clipping.
    """
    unused = form.bits - form.stored
    span = 1 << form.stored
    floor = -(span // 2) if form.signed else 0
    low, high = int(stored.min()), int(stored.max())
    if unused and not floor <= low <= high < floor + span:
        # Bits above the stored ones may hold overlays (retired): shift them out, keep the sign.
        np.right_shift(np.left_shift(stored, unused, out=stored), unused, out=stored)
        low, high = floor, floor + span
    if low < limits[0] or high > limits[1]:
        np.clip(stored, *limits, out=stored)


def _limits(one: Slice, form: PixelFormat) -> tuple[int, int] | None:
    """Return the stored values of the lowest and highest HU; None where a slice needs more care.

    That is where values are not 16 bits in the file's own order, are scaled or not whole, lie in
    an archive, or where padding stands for something else than a value at or below air.
    """
    plain = form.native and not form.floating and form.bits == 16 and sys.byteorder == "little"
    if not plain or INSIDE in one.path or one.slope != 1 or one.intercept != int(one.intercept):
        return None
    intercept = int(one.intercept)
    kind = np.iinfo(np.int16 if form.signed else np.uint16)
    low, high = max(kind.min, HU_MIN - intercept), min(kind.max, HU_MAX - intercept)
    padding = _padding(form, np.dtype(kind.dtype))
    if low > high or (padding is not None and padding + intercept > HU_MIN):
        return None
    return low, high


def _converted(stored: NDArray[np.generic], one: Slice, form: PixelFormat) -> NDArray[np.generic]:
    """Turn stored values of any kind into HU."""
    if form.floating and not np.isfinite(stored).all():
        raise DataError("The CT holds values that are not finite numbers.", code="FP-2115")
    if one.slope == 1 and one.intercept == int(one.intercept) and stored.dtype.kind in "iu":
        values = np.clip(stored.astype(np.int64) + int(one.intercept), HU_MIN, HU_MAX)
    else:
        values = np.rint(stored.astype(np.float32) * one.slope + one.intercept)
        values = np.clip(values, HU_MIN, HU_MAX)
    padding = None if form.floating else _padding(form, stored.dtype)
    return values if padding is None else np.where(stored == padding, HU_MIN, values)


def _padding(form: PixelFormat, kind: np.dtype[np.generic]) -> int | None:
    """Return the stored value of padding, which a header tells without its sign."""
    if form.padding is None:
        return None
    return int(np.array([form.padding], np.uint16).astype(kind)[0])
