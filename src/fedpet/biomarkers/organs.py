"""Uptake of spleen and bone marrow relative to the liver, and muscle at the third lumbar vertebra.

Where masks of organs are given, means are over them. Where not, spleen and marrow are looked for
with the CT: the deepest places of soft tissue behind on the left, and of bone along the midline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.errors import DataError
from fedpet.imaging.grid import to_common_grid
from fedpet.imaging.landmarks import coarse_landmarks, find_tissues, measure_sphere
from fedpet.imaging.physiologic import Landmarks
from fedpet.imaging.volume import Grid, Volume

NAMES: Final = (
    "spleen_liver_ratio",
    "marrow_liver_ratio",
    "liver_suvmean",
    "spleen_suvmean",
    "marrow_suvmean",
    "muscle_index_cm2_m2",
)
SPLEEN_RADIUS_MM: Final = 10.0
MARROW_RADIUS_MM: Final = 8.0
MUSCLE_HU: Final = (-29, 150)
SOFT_HU: Final = (0.0, 180.0)
BONE_HU_MIN: Final = 100.0
EVEN_MAX: Final = 0.25
FAILED = float("nan")


def measure_organs(
    suv: Volume,
    ct: Volume | None,
    *,
    lesions: Volume | None = None,
    organs: Mapping[str, Volume] | None = None,
    height_m: float | None = None,
) -> dict[str, float]:
    """Measure organ ratios and the muscle index.

    Args:
        suv: SUV on the PET's own grid.
        ct: HU in the same frame of reference, on its own grid.
        lesions: Labels on the PET's grid; their voxels never count as organ.
        organs: Masks on the PET's grid: `liver`, `spleen`, `marrow` (of lumbar vertebrae); and
            on any grid `muscle`, drawn on axial slices at L3.
        height_m: For the muscle index.

    Returns:
        Values by `NAMES`; NaN where an organ is neither given nor found, and for the muscle index
        without mask, CT or height.

    Source:
        Spleen to liver: Wong et al. 2020; marrow to liver: Nakamoto et al. 2021 (mean over mean).
        Muscle index: Prado et al. 2008, area of -29 to 150 HU at L3 over squared height.
    """
    masks = dict(organs or {})
    found = {
        name: _mean_in(suv, masks[name], lesions) if name in masks else FAILED
        for name in ("liver", "spleen", "marrow")
    }
    if ct is not None and not {"liver", "spleen", "marrow"} <= masks.keys():
        searched = _search(suv, ct, lesions)
        found |= {name: searched[name] for name in found if name not in masks}
    liver = found["liver"]
    return {
        "spleen_liver_ratio": found["spleen"] / liver if liver > 0 else FAILED,
        "marrow_liver_ratio": found["marrow"] / liver if liver > 0 else FAILED,
        "liver_suvmean": liver,
        "spleen_suvmean": found["spleen"],
        "marrow_suvmean": found["marrow"],
        "muscle_index_cm2_m2": muscle_index(ct, masks["muscle"], height_m=height_m)
        if ct is not None and "muscle" in masks and height_m is not None
        else FAILED,
    }


def muscle_index(ct: Volume, muscle: Volume, *, height_m: float) -> float:
    """Return the area of muscle at L3 over squared height, in cm2/m2.

    Args:
        ct: HU.
        muscle: Mask on the CT's grid or another, drawn on one or a few axial slices at L3; the
            area is the mean over its slices.
        height_m: Of the subject.

    Raises:
        DataError: If the height is not plausible or the mask is empty.

    Source:
        Prado et al. 2008, Lancet Oncol 9:629; -29 to 150 HU by Mitsiopoulos et al. 1998.

    Examples:
        >>> grid = Grid(shape=(1, 20, 20), spacing_mm=(3.0, 10.0, 10.0), origin_mm=(0, 0, 0))
        >>> ct = Volume(array=np.full(grid.shape, 40, np.int16), grid=grid)
        >>> mask = Volume(array=np.ones(grid.shape, bool), grid=grid)
        >>> muscle_index(ct, mask, height_m=2.0)
        100.0
    """
    if not 0.3 <= height_m <= 2.6:
        raise DataError(f"The height is {height_m:g} m, expected 0.3 to 2.6 m.", code="FP-2113")
    inside = muscle.array > 0
    slices = inside.any(axis=(1, 2))
    if not slices.any():
        raise DataError("The mask of the muscle at L3 is empty.", code="FP-2117")
    hu = ct.array if ct.grid == muscle.grid else _on(ct, muscle.grid)
    counted = inside & (hu >= MUSCLE_HU[0]) & (hu <= MUSCLE_HU[1])
    pixel_cm2 = muscle.grid.spacing_mm[1] * muscle.grid.spacing_mm[2] / 100
    return float(counted.sum() * pixel_cm2 / slices.sum() / height_m**2)


def _mean_in(suv: Volume, mask: Volume, lesions: Volume | None) -> float:
    inside = mask.array > 0
    if lesions is not None:
        inside &= lesions.array == 0
    values = suv.array[inside]
    return float(values.mean(dtype=np.float64)) if values.size else FAILED


def _without(suv: Volume, lesions: Volume) -> Volume:
    """Return the SUV with lesions and their rim far too hot for any organ."""
    if not lesions.array.any():
        return suv
    near = ndimage.binary_dilation(lesions.array > 0, iterations=1)
    array = suv.array.copy()
    array[near] = np.maximum(array[near], np.float32(50))
    return Volume(array=array, grid=suv.grid)


def _on(ct: Volume, grid: Grid) -> NDArray[np.int16]:
    array: NDArray[np.int16] = to_common_grid(ct, grid, fill=-1024, kind="ct").array
    return array


def _search(suv: Volume, ct: Volume, lesions: Volume | None) -> dict[str, float]:
    """Look for liver, spleen and marrow; NaN where no place fits."""
    landmarks = coarse_landmarks(suv, ct)
    cold = suv if lesions is None else _without(suv, lesions)
    return {
        "liver": _liver(suv, ct, lesions),
        "spleen": _spleen(cold, ct, landmarks),
        "marrow": _marrow(cold, ct, landmarks),
    }


def _liver(suv: Volume, ct: Volume, lesions: Volume | None) -> float:
    sphere = find_tissues(suv, ct).liver
    if sphere is None:
        return FAILED
    if lesions is not None:
        ill = Volume(array=(lesions.array > 0).astype(np.float32), grid=lesions.grid)
        touched = measure_sphere(ill, sphere.place_mm, radius_mm=sphere.radius_mm)
        if touched is not None and touched.mean > 0:
            return FAILED
    return sphere.mean


def _near(
    grid: Grid, *, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]
) -> tuple[slice, slice, slice]:
    """Return the box of voxels between LPS bounds, for grids with axes near those of the body."""
    corners = np.array([(a, b, c) for a in x for b in y for c in z])
    index = grid.to_index(corners)
    low, high = np.floor(index.min(axis=0)), np.ceil(index.max(axis=0))
    sides = [
        slice(int(np.clip(a, 0, count)), int(np.clip(b + 1, 0, count)))
        for a, b, count in zip(low, high, grid.shape, strict=True)
    ]
    return sides[0], sides[1], sides[2]


def _within(ct: Volume, grid: Grid, box: tuple[slice, slice, slice]) -> NDArray[np.int16]:
    """Return the HU on a box of a grid."""
    corner = grid.to_lps(np.array([side.start for side in box], np.float64))
    z, y, x = (side.stop - side.start for side in box)
    part = Grid(
        shape=(z, y, x),
        spacing_mm=grid.spacing_mm,
        origin_mm=(float(corner[0]), float(corner[1]), float(corner[2])),
        direction=grid.direction,
    )
    return _on(ct, part)


def _spleen(suv: Volume, ct: Volume, marks: Landmarks) -> float:
    """Mean SUV at the deepest place of even soft tissue behind on the left, below the lung."""
    x, y, base = marks.middle_x, marks.middle_y, marks.base_z
    box = _near(suv.grid, x=(x + 65, x + 160), y=(y + 5, y + 110), z=(base - 100, base + 60))
    values = suv.array[box]
    if min(values.shape) < 3:
        return FAILED
    calm = ndimage.gaussian_filter(values, [4 / step for step in suv.grid.spacing_mm])
    soft = ndimage.gaussian_filter(
        _within(ct, suv.grid, box).astype(np.float32), [4 / step for step in suv.grid.spacing_mm]
    )
    # Warmer than muscle, colder than kidney and lesions.
    mask = (calm > 0.9) & (calm < 5.0) & (soft > SOFT_HU[0]) & (soft < SOFT_HU[1])
    return _deepest(suv, mask, calm, box, SPLEEN_RADIUS_MM)


def _deepest(
    suv: Volume,
    mask: NDArray[np.bool_],
    calm: NDArray[np.float32],
    box: tuple[slice, slice, slice],
    radius_mm: float,
) -> float:
    """Return the mean of a sphere at the place of a mask furthest from its border."""
    if not mask.any():
        return FAILED
    typical = float(np.median(calm[mask]))
    mask &= np.abs(calm - typical) < 0.35 * typical
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=suv.grid.spacing_mm)
    depth = depth[1:-1, 1:-1, 1:-1]
    if depth.max() < radius_mm:
        return FAILED
    place = np.unravel_index(int(depth.argmax()), depth.shape)
    index = np.array([side.start for side in box]) + np.array(place)
    x, y, z = (float(value) for value in suv.grid.to_lps(index.astype(np.float64)))
    sphere = measure_sphere(suv, (x, y, z), radius_mm=radius_mm)
    if sphere is None or sphere.deviation > EVEN_MAX * sphere.mean:
        return FAILED
    return sphere.mean


def _marrow(suv: Volume, ct: Volume, marks: Landmarks) -> float:
    """Mean SUV in the vertebral bodies of the lumbar spine: the thickest bone of each slice."""
    x, y, base = marks.middle_x, marks.middle_y, marks.base_z
    box = _near(suv.grid, x=(x - 35, x + 35), y=(y + 10, y + 110), z=(base - 190, base - 60))
    values = suv.array[box]
    if min(values.shape) < 3:
        return FAILED
    bone = ndimage.gaussian_filter(
        _within(ct, suv.grid, box).astype(np.float32), [3 / step for step in suv.grid.spacing_mm]
    )
    means = []
    rows, columns = suv.grid.spacing_mm[1:]
    for plane, one in zip(values, bone > BONE_HU_MIN, strict=True):
        depth = ndimage.distance_transform_edt(np.pad(one, 1), sampling=(rows, columns))[1:-1, 1:-1]
        if depth.max() < MARROW_RADIUS_MM:
            continue
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        r, c = np.ogrid[: plane.shape[0], : plane.shape[1]]
        near = ((r - row) * rows) ** 2 + ((c - column) * columns) ** 2 <= MARROW_RADIUS_MM**2
        inside = plane[near & one]
        if inside.max() < 20:  # a lesion, marked as far too hot
            means.append(float(inside.mean(dtype=np.float64)))
    return float(np.median(means)) if len(means) >= 3 else FAILED
