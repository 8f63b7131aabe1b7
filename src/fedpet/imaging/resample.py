"""The arithmetic of bringing an array to another grid, plane by plane and axis by axis.

Grids whose axes are parallel, as nearly all are, need no general interpolator: along each axis
a voxel lies between two others, and a plane at a time stays within the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedpet.imaging.volume import Grid

# Farther off than this anywhere in the volume, in voxels, axes do not count as parallel.
PARALLEL_TOLERANCE: Final = 1e-3
# Places are rounded to this part of a voxel, so that half ways go one way on every machine.
PLACE_DECIMALS: Final = 9
INT16_MAX: Final = 32767
INT32_MAX: Final = 2147483647


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """How the axes of a target grid run through a source grid that is parallel to it.

    Args:
        order: For each axis of the target, the axis of the source along which it runs.
        places: For each axis of the target, fractional source indices of its voxels, float64.
    """

    order: tuple[int, int, int]
    places: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def parallel_axes(source: Grid, target: Grid) -> Axes | None:
    """Match the axes of two grids; None if they are not parallel, swapped or flipped."""
    linear = target.steps_mm @ np.linalg.inv(source.steps_mm)  # source steps per target step
    order = [int(row.argmax()) for row in np.abs(linear)]
    if sorted(order) != [0, 1, 2]:
        return None
    main = np.zeros((3, 3))
    main[range(3), order] = linear[range(3), order]
    if (np.abs(linear - main) * np.array(target.shape)[:, None]).max() > PARALLEL_TOLERANCE:
        return None
    start = source.to_index(target.to_lps(np.zeros(3)))
    z, y, x = (
        np.round(start[along] + linear[axis, along] * np.arange(count), PLACE_DECIMALS)
        for axis, (along, count) in enumerate(zip(order, target.shape, strict=True))
    )
    return Axes(order=(order[0], order[1], order[2]), places=(z, y, x))


def inside(places: NDArray[np.float64], count: int) -> slice:
    """Return the range of places that lie within the voxels 0 to `count` - 1 of an axis."""
    which = np.flatnonzero((places >= -0.5) & (places <= count - 0.5))
    return slice(int(which[0]), int(which[-1]) + 1) if len(which) else slice(0, 0)


def nearest(array: NDArray[np.generic], axes: Axes, fill: float) -> NDArray[np.generic]:
    """Take the nearest voxel of each place; half ways go up."""
    turned = array.transpose(axes.order)
    found = np.full([len(one) for one in axes.places], fill, array.dtype)
    box = tuple(inside(p, n) for p, n in zip(axes.places, turned.shape, strict=True))
    index = [
        np.clip(np.floor(places[part] + 0.5).astype(np.intp), 0, count - 1)
        for places, part, count in zip(axes.places, box, turned.shape, strict=True)
    ]
    found[box] = turned[np.ix_(*index)]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Between:
    """Two neighbours of each place along an axis, and how far it lies from the first, 0 to 1."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: NDArray[np.float32]

    @property
    def copies(self) -> bool:
        """Whether every place is the centre of a voxel."""
        return not self.share.any()


def _between(places: NDArray[np.float64], count: int) -> _Between:
    held = np.clip(places, 0, count - 1)
    low = np.minimum(held.astype(np.intp), max(count - 2, 0))
    high = np.minimum(low + 1, count - 1)
    return _Between(low=low, high=high, share=(held - low).astype(np.float32))


def linear(array: NDArray[np.generic], axes: Axes, fill: float) -> NDArray[np.float32]:
    """Interpolate linearly between voxel centres; from the last centre to the edge, flat.

    Constants stay exactly constant: each step is `low + share * (high - low)`.
    """
    turned = array.transpose(axes.order)
    found = np.full([len(one) for one in axes.places], fill, np.float32)
    box = tuple(inside(p, n) for p, n in zip(axes.places, turned.shape, strict=True))
    out = found[box]
    if not out.size:
        return found
    z, y, x = (
        _between(places[part], count)
        for places, part, count in zip(axes.places, box, turned.shape, strict=True)
    )
    corner = (slice(None), *(slice(int(one.low.min()), int(one.high.max()) + 1) for one in (y, x)))
    source = turned[corner]
    y, x = (
        _Between(low=one.low - part.start, high=one.high - part.start, share=one.share)
        for one, part in zip((y, x), corner[1:], strict=True)
    )
    for plane, low, high, share in zip(out, z.low, z.high, z.share, strict=True):
        first = source[low].astype(np.float32)
        if share:
            first += share * (source[high].astype(np.float32) - first)
        rows = _lerp(first, y, axis=0)
        plane[...] = _lerp(rows, x, axis=1)
    return found


def _lerp(plane: NDArray[np.float32], at: _Between, *, axis: int) -> NDArray[np.float32]:
    first = plane.take(at.low, axis)
    if at.copies:
        return first
    step = plane.take(at.high, axis)
    step -= first
    step *= at.share[:, None] if axis == 0 else at.share
    first += step
    return first


def box_mean(array: NDArray[np.generic], factors: Sequence[int]) -> NDArray[np.float32]:
    """Average blocks of `factors` voxels along (z, y, x); a rest at the end is left out.

    Source:
        The simplest filter without ringing before thinning: it keeps sums and is what a larger
        voxel would have measured.

    Examples:
        >>> box_mean(np.arange(8, dtype=np.int16).reshape(2, 2, 2), (2, 2, 1)).tolist()
        [[[3.0, 4.0]]]
    """
    depth = factors[0]
    groups = (array[first : first + depth] for first in range(0, len(array), depth))
    whole = (group for group in groups if len(group) == depth)
    return np.stack(list(plane_means(whole, factors)))


def plane_means(
    groups: Iterable[NDArray[np.generic] | Sequence[NDArray[np.generic]]],
    factors: Sequence[int],
    *,
    largest: int | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Average groups of planes to one plane each, blocks of rows and columns to one value each.

    Args:
        groups: Planes [rows, columns], each group as many as `factors[0]`.
        factors: Along (z, y, x).
        largest: No absolute value is above it, where that is known; sums of small integers
            are then taken in few bits, which is many times faster.

    Yields:
        float32 [rows / y, columns / x].
    """
    depth, fy, fx = factors
    for planes in groups:
        first = planes[0]
        rows, columns = first.shape[0] // fy * fy, first.shape[1] // fx * fx
        bound = largest if largest is not None else _largest(planes)
        total = first[:rows, :columns].astype(_wide_enough(first.dtype, bound * depth))
        for plane in planes[1:]:
            total += plane[:rows, :columns]
        lines = total[0::fy].astype(_wide_enough(first.dtype, bound * depth * fy))
        for offset in range(1, fy):
            lines += total[offset::fy]
        values = lines[:, 0::fx].astype(_wide_enough(first.dtype, bound * depth * fy * fx))
        for offset in range(1, fx):
            values += lines[:, offset::fx]
        yield (values / np.float32(depth * fy * fx)).astype(np.float32)


def _largest(planes: NDArray[np.generic] | Sequence[NDArray[np.generic]]) -> int:
    if planes[0].dtype.kind not in "iu":
        return 0
    return max(max(abs(int(plane.max())), abs(int(plane.min()))) for plane in planes)


def _wide_enough(kind: np.dtype[np.generic], bound: int) -> np.dtype[np.generic]:
    """Return the smallest type in which sums up to a bound are exact."""
    if kind.kind == "f":
        return np.dtype(np.float32)
    if bound <= INT16_MAX:
        return np.dtype(np.int16)
    return np.dtype(np.int32 if bound <= INT32_MAX else np.int64)
