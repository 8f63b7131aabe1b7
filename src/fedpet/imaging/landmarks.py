"""Where healthy liver and blood pool lie: the two tissues by which a PET is judged.

No organ is segmented. The lungs of the CT tell the height; a homogeneous sphere of soft tissue at
the right place is the liver or the blood of the mediastinum. Everything is relative to the mean of
the body, so that the places do not depend on whether SUV was computed rightly: they are what it
is checked against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.imaging.grid import HEAD_FIRST, to_common_grid
from fedpet.imaging.physiologic import (
    LUNG_ML_MIN,
    WARM_SUV_MIN,
    Landmarks,
    closed_pockets,
    find_landmarks,
)
from fedpet.imaging.volume import Grid, Volume

COARSE_MM: Final = 8.0
LIVER_RADIUS_MM: Final = 15.0
BLOOD_RADIUS_MM: Final = 10.0
AIR_HU: Final = -1024
BODY_HU_MIN: Final = -300
# Soft tissue, with and without contrast medium.
SOFT_HU: Final = (-10.0, 250.0)
# Uptake relative to the mean of the body; both tissues lie well inside in healthy organs.
LIVER_RELATIVE: Final = (1.15, 8.0)
BLOOD_RELATIVE: Final = (0.9, 3.0)
VARIATION_MAX: Final = 0.35
CANDIDATES_MIN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sphere:
    """SUV in a sphere of healthy tissue, measured on the PET's own grid.

    Args:
        place_mm: Centre, LPS (x, y, z) in mm.
        radius_mm: Radius.
        mean: Mean of the voxels with their centre inside.
        deviation: Their standard deviation (population, ddof = 0).
        voxels: Their number.
    """

    place_mm: tuple[float, float, float]
    radius_mm: float
    mean: float
    deviation: float
    voxels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissues:
    """What was found; None where no place fits.

    Args:
        body_mean: Mean SUV of the body: over CT above -300 HU, or over warm voxels without one.
        body_ml: Volume of that body.
        liver: 3 cm sphere in the upper right lobe.
        blood: 2 cm sphere in the mediastinum; needs a CT that shows the lungs.
    """

    body_mean: float
    body_ml: float
    liver: Sphere | None
    blood: Sphere | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coarse:
    """A body on a coarse axis-aligned grid, head first; SUV relative to its mean."""

    relative: NDArray[np.float32]
    hu: NDArray[np.int16] | None
    grid: Grid
    landmarks: Landmarks


def find_tissues(suv: Volume, ct: Volume | None, *, search: Volume | None = None) -> Tissues:
    """Find liver and blood pool, and measure them and the body.

    Args:
        suv: SUV on any grid; the spheres are measured on it.
        ct: HU in the same frame of reference, on any grid; None if there is none.
        search: The same SUV on a coarser axis-aligned grid, where it is looked for faster.

    Returns:
        Means and places; a tissue that is not in the image, or nowhere homogeneous, is None.

    Source:
        PERCIST 1.0 (Wahl et al. 2009): 3 cm sphere in the right lobe; blood pool as the reserve.

    Examples:
        >>> grid = Grid(shape=(4, 4, 4), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
        >>> find_tissues(Volume(array=np.zeros(grid.shape, np.float32), grid=grid), None).liver
    """
    wide = suv if search is None else search
    grid = _around(wide.grid)
    coarse = to_common_grid(wide, grid, fill=0.0, kind="pet").array
    there = None if ct is None else to_common_grid(ct, grid, fill=AIR_HU, kind="ct")
    hu = None if there is None else there.array
    inside = _body(coarse, hu)
    mean = float(coarse[inside].mean(dtype=np.float64)) if inside.any() else 0.0
    body_ml = int(inside.sum()) * grid.voxel_ml
    if not mean > 0:
        return Tissues(body_mean=mean, body_ml=body_ml, liver=None, blood=None)
    relative = (coarse / mean).astype(np.float32)
    marks = None if hu is None else _lungs(relative > WARM_SUV_MIN, hu, grid)
    if marks is None:
        marks = find_landmarks(Volume(array=relative, grid=grid), None)
    body = _Coarse(relative=relative, hu=hu, grid=grid, landmarks=marks)
    liver, blood = _liver_place(body), _blood_place(body)
    return Tissues(
        body_mean=mean,
        body_ml=body_ml,
        liver=None if liver is None else measure_sphere(suv, liver, radius_mm=LIVER_RADIUS_MM),
        blood=None if blood is None else measure_sphere(suv, blood, radius_mm=BLOOD_RADIUS_MM),
    )


def coarse_landmarks(suv: Volume, ct: Volume | None) -> Landmarks:
    """Find the lungs on voxels of 8 mm, ten times as fast as on those of a PET.

    Args:
        suv: SUV by body weight on any grid.
        ct: HU in the same frame of reference, on any grid; None if there is none.
    """
    grid = _around(suv.grid)
    there = None if ct is None else to_common_grid(ct, grid, fill=AIR_HU, kind="ct")
    return find_landmarks(to_common_grid(suv, grid, fill=0.0, kind="pet"), there)


def measure_sphere(
    suv: Volume, place_mm: tuple[float, float, float], *, radius_mm: float
) -> Sphere | None:
    """Return the SUV of the voxels whose centres lie in a sphere; None if there are none.

    Args:
        suv: SUV on its own grid.
        place_mm: Centre, LPS (x, y, z).
        radius_mm: Radius.

    Examples:
        >>> grid = Grid(shape=(9, 9, 9), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
        >>> suv = Volume(array=np.full(grid.shape, 2.5, np.float32), grid=grid)
        >>> found = measure_sphere(suv, (16.0, 16.0, 16.0), radius_mm=4.0)
        >>> found.mean, found.voxels
        (2.5, 7)
    """
    middle = suv.grid.to_index(np.array(place_mm))
    reach = radius_mm / np.array(suv.grid.spacing_mm)
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach) + 1, suv.array.shape).astype(int)
    if (low >= high).any():
        return None
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    apart = suv.grid.to_lps(index.astype(np.float64)) - np.array(place_mm)
    near = (apart**2).sum(axis=-1) <= radius_mm**2 * (1 + 1e-9)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    values = suv.array[box][near].astype(np.float64)
    if not values.size:
        return None
    return Sphere(
        place_mm=place_mm,
        radius_mm=radius_mm,
        mean=float(values.mean()),
        deviation=float(values.std()),
        voxels=int(values.size),
    )


def _around(grid: Grid) -> Grid:
    """Return the coarse axis-aligned grid that covers another one."""
    if grid.direction == HEAD_FIRST and set(grid.spacing_mm) == {COARSE_MM}:
        return grid
    ends = np.array([(0.0, count - 1.0) for count in grid.shape])
    corners = grid.to_lps(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))
    low, high = corners.min(axis=0), corners.max(axis=0)
    counts = [max(1, int(length // COARSE_MM) + 1) for length in high - low]
    return Grid(
        shape=(counts[2], counts[1], counts[0]),
        spacing_mm=(COARSE_MM, COARSE_MM, COARSE_MM),
        origin_mm=(float(low[0]), float(low[1]), float(high[2])),
        direction=HEAD_FIRST,
    )


def _body(suv: NDArray[np.float32], hu: NDArray[np.int16] | None) -> NDArray[np.bool_]:
    """Return the body: where it is warmer than a third of itself and, on a CT, denser than air.

    The couch is dense and cold, so that it does not count.
    """
    dense: NDArray[np.bool_] = suv > 0 if hu is None else (hu > BODY_HU_MIN) & (suv > 0)
    share = 0.3 if hu is None else 0.1
    inside = dense
    for _ in range(4 if hu is None else 2):
        if not inside.any():
            break
        inside = dense & (suv > share * float(suv[inside].mean(dtype=np.float64)))
    return inside


def _lungs(warm: NDArray[np.bool_], hu: NDArray[np.int16], grid: Grid) -> Landmarks | None:
    """Find the lungs as `physiologic.find_landmarks` does, by sums along the axes of the grid.

    Ten times as fast, which counts: every scan of a cohort is judged.
    """
    pockets = closed_pockets(hu)
    sizes_ml = np.bincount(pockets.ravel())[1:] * grid.voxel_ml
    if not sizes_ml.size or sizes_ml.max() < LUNG_ML_MIN or not warm.any():
        return None
    large = np.zeros(len(sizes_ml) + 1, bool)
    large[1:] = sizes_ml >= max(LUNG_ML_MIN, 0.3 * sizes_ml.max())
    lungs = large[pockets]
    along_z, along_y = lungs.sum(axis=(1, 2)), lungs.sum(axis=(0, 2))
    (top, base), (front, back) = _ends(along_z), _ends(along_y)
    low = grid.to_lps(np.array([base, front, 0.0]))
    high = grid.to_lps(np.array([top, back, 0.0]))
    across = warm.sum(axis=(0, 1))
    first = int(warm.any(axis=(1, 2)).argmax())
    middle = float(np.arange(len(across)) @ across) / float(across.sum())
    return Landmarks(
        top_z=float(grid.to_lps(np.array([first, 0.0, 0.0]))[2]),
        apex_z=float(high[2]),
        base_z=float(low[2]),
        middle_x=float(grid.to_lps(np.array([0.0, 0.0, middle]))[0]),
        middle_y=float(low[1] + high[1]) / 2,
    )


def _ends(counts: NDArray[np.integer]) -> tuple[float, float]:
    """Return the places of the first and the last hundredth of a histogram."""
    share = np.cumsum(counts) / counts.sum()
    return float(np.searchsorted(share, 0.01)), float(np.searchsorted(share, 0.99))


def _liver_place(body: _Coarse) -> tuple[float, float, float] | None:
    """Find a homogeneous place in the largest homogeneous warm region right of the middle."""
    marks = body.landmarks
    loose = 0.0 if body.hu is not None else 60.0
    box = _box(
        body.grid,
        x=(marks.middle_x - 140, marks.middle_x - 15),
        y=(marks.middle_y - 110, marks.middle_y + 90),
        z=(marks.base_z - 120 - loose, marks.base_z + 60 + loose),
    )
    return _most_even(body, box, LIVER_RADIUS_MM, relative=LIVER_RELATIVE)


def _blood_place(body: _Coarse) -> tuple[float, float, float] | None:
    """Find a homogeneous place between the lungs: great vessels or the aorta."""
    if body.hu is None:
        return None
    marks = body.landmarks
    height = marks.apex_z - marks.base_z
    box = _box(
        body.grid,
        x=(marks.middle_x - 30, marks.middle_x + 45),
        y=(marks.middle_y - 55, marks.middle_y + 55),
        z=(marks.base_z + 0.35 * height, marks.base_z + 0.8 * height),
    )
    return _most_even(body, box, BLOOD_RADIUS_MM, relative=BLOOD_RELATIVE)


def _box(
    grid: Grid, *, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]
) -> tuple[slice, slice, slice]:
    """Return the voxels between LPS bounds on an axis-aligned, head-first grid."""
    low = grid.to_index(np.array([x[0], y[0], z[1]]))
    high = grid.to_index(np.array([x[1], y[1], z[0]]))
    sides = [
        slice(max(0, int(np.ceil(a))), max(0, min(count, int(np.floor(b)) + 1)))
        for a, b, count in zip(low, high, grid.shape, strict=True)
    ]
    return sides[0], sides[1], sides[2]


def _most_even(
    body: _Coarse,
    box: tuple[slice, slice, slice],
    radius_mm: float,
    *,
    relative: tuple[float, float],
) -> tuple[float, float, float] | None:
    """Return the centre of the most even sphere in the largest region of even uptake.

    A sphere counts if all of it is soft tissue (with a CT), its mean lies within `relative` and
    its coefficient of variation is small. In the region, the upper half is preferred: there the
    liver is thickest and bowel and kidney are far.
    """
    values = body.relative[box].astype(np.float64)
    if not values.size:
        return None
    ball = _ball(radius_mm)
    mean = ndimage.convolve(values, ball, mode="nearest")
    square = ndimage.convolve(values**2, ball, mode="nearest")
    variation = np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1e-6)
    fits = (mean >= relative[0]) & (mean <= relative[1]) & (variation <= VARIATION_MAX)
    if body.hu is not None:
        hu = body.hu[box]
        soft = ((hu >= SOFT_HU[0]) & (hu <= SOFT_HU[1])).astype(np.float64)
        fits &= ndimage.convolve(soft, ball, mode="nearest") > 0.97
    parts, count = ndimage.label(fits, np.ones((3, 3, 3)))
    if not count:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if sizes.max() < CANDIDATES_MIN:
        return None
    index = np.argwhere(parts == int(sizes.argmax()))
    upper = index[index[:, 0] <= np.median(index[:, 0])]
    best = upper[int(variation[tuple(upper.T)].argmin())]
    start = np.array([side.start for side in box])
    x, y, z = (float(value) for value in body.grid.to_lps((best + start).astype(np.float64)))
    return x, y, z


def _ball(radius_mm: float) -> NDArray[np.float64]:
    """Return the weights of the coarse voxels in a sphere; their sum is 1."""
    reach = int(radius_mm // COARSE_MM)
    z, y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1] * COARSE_MM
    inside = (z**2 + y**2 + x**2 <= radius_mm**2).astype(np.float64)
    weights: NDArray[np.float64] = inside / inside.sum()
    return weights
