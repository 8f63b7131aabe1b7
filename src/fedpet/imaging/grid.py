"""Bringing volumes to other grids: the common grid of a cohort, and projections on it.

The common grid is axis aligned with z index 0 at the head, y 0 in front and x 0 at the patient's
right, 960 x 320 x 448 mm (z, y, x), so that all subjects of all hospitals are read alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.resample import box_mean, linear, nearest, parallel_axes
from fedpet.imaging.volume import Grid, Volume

EXTENT_MM: Final = (960.0, 320.0, 448.0)
BODY_SUV_MIN: Final = 0.2
LATTICE_TOLERANCE: Final = 0.25
HEAD_FIRST: Final = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
ALIGNED_MIN: Final = 0.9999

Kind = Literal["pet", "ct", "label"]


def common_grid(suv: Volume, ct: Volume | None, *, spacing_mm: float) -> Grid:
    """Place the common grid on a PET: its top at index 0, the body in the middle.

    Args:
        suv: PET in SUV on its own grid.
        ct: Not needed; its couch would pull the middle backwards.
        spacing_mm: Voxel size of the common grid.

    Returns:
        A grid of 960 x 320 x 448 mm; centred in y and x on the centroid of SUV > 0.2.
    """
    del ct
    body = suv.array > BODY_SUV_MIN
    shares = _shares(body)
    total = int(shares[0].sum())
    middle = (
        [float(np.arange(len(share)) @ share) / total for share in shares]
        if total
        else [(count - 1) / 2 for count in suv.array.shape]
    )
    centre = suv.grid.to_lps(np.array(middle))
    corners = _corners(suv.grid)
    shape = _shape(spacing_mm)
    return Grid(
        shape=shape,
        spacing_mm=(spacing_mm, spacing_mm, spacing_mm),
        origin_mm=(
            float(centre[0]) - spacing_mm * (shape[2] - 1) / 2,
            float(centre[1]) - spacing_mm * (shape[1] - 1) / 2,
            float(corners[:, 2].max()) - spacing_mm / 2,
        ),
        direction=HEAD_FIRST,
    )


def _shares(body: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Count the voxels of the body in each plane, for each axis."""
    rows = np.zeros(body.shape[:2], np.int64)
    columns = np.zeros(body.shape[2], np.int64)
    for index, plane in enumerate(body):
        rows[index] = np.count_nonzero(plane, axis=1)
        columns += plane.view(np.uint8).sum(axis=0, dtype=np.uint32)
    return [rows.sum(axis=1), rows.sum(axis=0), columns]


def _shape(spacing_mm: float) -> tuple[int, int, int]:
    z, y, x = (max(1, round(extent / spacing_mm)) for extent in EXTENT_MM)
    return z, y, x


def _corners(grid: Grid) -> NDArray[np.float64]:
    """Return the LPS positions of the eight outer corners of a grid's voxels."""
    ends = np.array([(-0.5, count - 0.5) for count in grid.shape])
    index = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid.to_lps(index)


def to_common_grid(volume: Volume, grid: Grid, *, fill: float, kind: Kind = "pet") -> Volume:
    """Resample a volume to another grid.

    PET and CT are interpolated linearly; an axis on which the new voxels are more than 1.5 times
    as large is box averaged first, since noise would alias otherwise. Labels take the nearest
    voxel.

    Args:
        volume: SUV, HU or labels.
        grid: The grid to come to.
        fill: Value outside of the volume: 0 for PET and labels, -1024 for CT.
        kind: What the volume holds.

    Returns:
        The volume on `grid`, of the same element type.

    Raises:
        DataError: If `kind` is unknown.
    """
    if kind not in ("pet", "ct", "label"):
        raise DataError(f"Volumes of kind '{kind}' are unknown; expected pet, ct or label.")
    if volume.grid == grid:
        return volume
    source = volume if kind == "label" else _averaged(volume, grid)
    axes = parallel_axes(source.grid, grid)
    if axes is None:
        array = _resampled(source, grid, fill=fill, kind=kind)
    elif kind == "label":
        array = nearest(source.array, axes, fill)
    else:
        array = linear(source.array, axes, fill)
    if kind == "ct":
        array = np.rint(array)
    return Volume(array=array.astype(volume.array.dtype, copy=False), grid=grid)


def _resampled(source: Volume, grid: Grid, *, fill: float, kind: Kind) -> NDArray[np.generic]:
    """Resample along the full affine: oblique volumes, and CT with a tilted gantry."""
    image = _to_sitk(source)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(count) for count in grid.shape[::-1]])
    resampler.SetOutputSpacing(grid.spacing_mm[::-1])
    resampler.SetOutputOrigin(grid.origin_mm)
    resampler.SetOutputDirection(_sitk_direction(grid))
    resampler.SetDefaultPixelValue(fill)
    resampler.SetInterpolator(sitk.sitkNearestNeighbor if kind == "label" else sitk.sitkLinear)
    resampler.SetNumberOfThreads(1)
    if kind != "label":
        resampler.SetOutputPixelType(sitk.sitkFloat32)
    array: NDArray[np.generic] = sitk.GetArrayFromImage(resampler.Execute(image))
    return array


def thinning(source: Grid, target: Grid) -> tuple[int, int, int]:
    """Return by how many voxels a source is averaged along each of its axes for a target.

    Whole factors, nearest to the ratio of voxel sizes: 1 up to a ratio of 1.5.

    Examples:
        >>> fine = Grid(shape=(9, 512, 512), spacing_mm=(1.5, 0.98, 0.98), origin_mm=(0, 0, 0))
        >>> thinning(fine, Grid(shape=(9, 9, 9), spacing_mm=(4.0,) * 3, origin_mm=(0, 0, 0)))
        (3, 4, 4)
    """
    factors = []
    for axis in range(3):
        along = np.abs(np.array(target.direction) @ np.array(source.direction[axis]))
        coarse = target.spacing_mm[int(along.argmax())]
        factors.append(max(1, int(coarse / source.spacing_mm[axis] + 0.5)))
    z, y, x = (min(one, count) for one, count in zip(factors, source.shape, strict=True))
    return z, y, x


def thinned(
    grid: Grid,
    factors: Sequence[int],
    *,
    first: tuple[int, int, int] = (0, 0, 0),
    shape: tuple[int, int, int],
) -> Grid:
    """Return the grid of blocks of voxels.

    Args:
        grid: Of the voxels.
        factors: Voxels in a block along (z, y, x).
        first: First voxel of the first block.
        shape: How many blocks.
    """
    middle = [start + (factor - 1) / 2 for start, factor in zip(first, factors, strict=True)]
    x, y, z = (float(value) for value in grid.to_lps(np.array(middle)))
    dz, dy, dx = (one * by for one, by in zip(grid.spacing_mm, factors, strict=True))
    return Grid(shape=shape, spacing_mm=(dz, dy, dx), origin_mm=(x, y, z), direction=grid.direction)


def _averaged(volume: Volume, grid: Grid) -> Volume:
    """Box average by whole factors along the axes on which the new grid is coarser."""
    factors = thinning(volume.grid, grid)
    if max(factors) == 1:
        return volume
    array = box_mean(volume.array, factors)
    return Volume(array=array, grid=thinned(volume.grid, factors, shape=array.shape))


def _to_sitk(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array))
    image.SetSpacing(volume.grid.spacing_mm[::-1])
    image.SetOrigin(volume.grid.origin_mm)
    image.SetDirection(_sitk_direction(volume.grid))
    return image


def _sitk_direction(grid: Grid) -> list[float]:
    """Return SimpleITK's matrix: one column for each of x, y, z."""
    matrix = np.array(grid.direction)[::-1].T
    return [float(value) for value in matrix.ravel()]


def on_lattice(source: Grid, target: Grid) -> bool:
    """Tell whether every voxel of `source` has its centre on a voxel centre of `target`'s lattice.

    Axes may be swapped or flipped, and `source` may be a part of `target` or reach beyond it.
    """
    start = target.to_index(source.to_lps(np.zeros(3)))
    linear = source.steps_mm @ np.linalg.inv(target.steps_mm)
    whole = np.rint(linear)
    if not (np.array_equal(np.abs(whole).sum(axis=0), np.ones(3)) and abs(np.linalg.det(whole))):
        return False
    reach = np.abs(linear - whole) * (np.array(source.shape)[:, None] - 1)
    drift = np.abs(start - np.rint(start)) + reach.sum(axis=0)
    return bool((drift <= LATTICE_TOLERANCE).all())


def place_labels(labels: Volume, target: Grid) -> Volume:
    """Bring labels to a grid: voxel by voxel on a common lattice, else by the nearest voxel.

    Returns:
        uint16 labels on `target`.
    """
    placed = np.zeros(target.shape, np.uint16)
    if not on_lattice(labels.grid, target):
        return to_common_grid(
            Volume(array=labels.array.astype(np.uint16), grid=labels.grid),
            target,
            fill=0,
            kind="label",
        )
    index = np.argwhere(labels.array)
    there = np.rint(target.to_index(labels.grid.to_lps(index.astype(np.float64)))).astype(np.int64)
    inside = ((there >= 0) & (there < np.array(target.shape))).all(axis=1)
    placed[tuple(there[inside].T)] = labels.array[tuple(index[inside].T)]
    return Volume(array=placed, grid=target)


def mips(suv: Volume) -> NDArray[np.float16]:
    """Project SUV on the common grid: the largest value along y (coronal) and x (sagittal).

    Args:
        suv: SUV on the common grid.

    Returns:
        float16 [2, z, width], coronal then sagittal; the narrower one is padded with zeros on
        both sides.
    """
    coronal, sagittal = suv.array.max(axis=1), suv.array.max(axis=2)
    width = max(coronal.shape[1], sagittal.shape[1])
    views = np.zeros((2, suv.array.shape[0], width), np.float16)
    for view, image in zip(views, (coronal, sagittal), strict=True):
        left = (width - image.shape[1]) // 2
        view[:, left : left + image.shape[1]] = np.minimum(image, np.finfo(np.float16).max)
    return views


def mip_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Return the shape of `mips` on the common grid of a voxel size: views, z, width.

    Examples:
        >>> mip_shape(8.0)[0]
        2
    """
    z, y, x = _shape(spacing_mm)
    return 2, z, max(x, y)
