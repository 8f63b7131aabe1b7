"""Metabolic tumour burden and its spread, on the PET's own grid."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import pdist

from fedpet.errors import DataError
from fedpet.imaging.volume import Grid, Volume

PEAK_RADIUS_MM = (3000.0 / (4.0 * math.pi)) ** (1 / 3)  # 6.204 mm: a sphere of 1 cm3
EDGE_PARTS = 16
EVERY_NEIGHBOUR = np.ones((3, 3, 3), bool)


def measure(suv: Volume, lesions: Volume) -> dict[str, float]:
    """Measure the seven biomarkers of a subject.

    Args:
        suv: SUV in g/mL on the PET's own grid.
        lesions: Labels on the same grid: each number's connected parts (26 neighbours) are
            lesions; 0 is no lesion.

    Returns:
        Values by the names of `catalogue.BIOMARKERS`. Without any lesion all are 0: no tumour
        was seen, so there is no uptake of tumour, no volume and no spread. With one lesion
        `dmax_mm` is 0.

    Raises:
        DataError: If the grids differ or SUV within lesions is not finite.

    Source:
        EANM guideline 2.0 (volumes); PERCIST 1.0 (SUVpeak); Cottereau et al. 2020 (Dmax).

    Examples:
        >>> grid = Grid(shape=(9, 9, 9), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
        >>> suv = Volume(array=np.full(grid.shape, 5, np.float32), grid=grid)
        >>> marks = np.zeros(grid.shape, np.uint16)
        >>> marks[3:6, 3:6, 3:6] = 1
        >>> found = measure(suv, Volume(array=marks, grid=grid))
        >>> round(found["tmtv_ml"], 3), found["suvmax"], round(found["suvpeak"], 6)
        (1.728, 5.0, 5.0)
    """
    if suv.array.shape != lesions.array.shape:
        raise DataError(
            f"The lesion mask has {lesions.array.shape} voxels, the PET {suv.array.shape}.",
            code="FP-2117",
        )
    found = ndimage.find_objects((lesions.array > 0).astype(np.uint8))
    if not found:
        return dict.fromkeys(
            ("tmtv_ml", "tlg_g", "suvmax", "suvmean", "suvpeak", "lesion_count", "dmax_mm"), 0.0
        )
    box = found[0]
    labels = lesions.array[box]
    inside = labels > 0
    values = suv.array[box][inside].astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("The PET holds values that are not finite.", code="FP-2115")
    voxel_ml = suv.grid.voxel_ml
    centroids = lesion_centroids_mm(labels, suv.grid)
    return {
        "tmtv_ml": len(values) * voxel_ml,
        "tlg_g": float(values.sum()) * voxel_ml,
        "suvmax": float(values.max()),
        "suvmean": float(values.mean()),
        "suvpeak": suv_peak(suv, lesions.array > 0),
        "lesion_count": float(len(centroids)),
        "dmax_mm": float(pdist(centroids).max()) if len(centroids) > 1 else 0.0,
    }


def lesion_centroids_mm(labels: NDArray[np.integer], grid: Grid) -> NDArray[np.float64]:
    """Return the centroid of each lesion, [lesions, 3], relative to the array's first voxel.

    Args:
        labels: Each number's connected parts (26 neighbours) are lesions.
        grid: For voxel sizes and directions; the array may be a part of it.
    """
    centroids = np.array([index.mean(axis=0) for index in separate(labels)])
    return centroids @ grid.steps_mm


def separate(labels: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Return the voxels of each lesion, indices [voxels, 3]: each number's connected parts.

    Args:
        labels: Each number's connected parts (26 neighbours) are lesions; 0 is none.
    """
    found = []
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        parts, count = ndimage.label(labels[box] == number, EVERY_NEIGHBOUR)
        index = np.argwhere(parts)
        which = parts[parts > 0]
        order = np.argsort(which, kind="stable")
        corner = np.array([side.start for side in box])
        ends = np.cumsum(np.bincount(which, minlength=count + 1)[1:])[:-1]
        found += np.split(index[order] + corner, ends)
    return found


def suv_peak(suv: Volume, inside: NDArray[np.bool_]) -> float:
    """Return the largest mean SUV in a sphere of 1 cm3 whose centre is a voxel of a lesion.

    The sphere may leave the lesion; voxels count by the part of them that lies in it. At the edge
    of the image the sphere is cut, and the mean taken over what is left.

    Args:
        suv: SUV in g/mL.
        inside: Lesion voxels, at least one.

    Source:
        Wahl et al. 2009, PERCIST 1.0: fixed 1 cm3 sphere, not necessarily centred on SUVmax.
    """
    weights = sphere_weights(suv.grid.spacing_mm)
    reach = [count // 2 for count in weights.shape]
    bounds = ndimage.find_objects(inside.astype(np.uint8))[0]
    box = tuple(
        slice(max(0, side.start - far), min(count, side.stop + far))
        for side, far, count in zip(bounds, reach, suv.array.shape, strict=True)
    )
    part, centres = suv.array[box].astype(np.float64), np.argwhere(inside[box])
    values = np.zeros(len(centres))
    norms = np.zeros(len(centres))
    shape = np.array(part.shape)
    flat = part.ravel()
    strides = np.array([part.shape[1] * part.shape[2], part.shape[2], 1])
    for offset in np.argwhere(weights > 0):
        weight = float(weights[tuple(offset)])
        there = centres + (offset - np.array(reach))
        whole = ((there >= 0) & (there < shape)).all(axis=1)
        values[whole] += weight * flat[there[whole] @ strides]
        norms[whole] += weight
    return float((values / norms).max())


@lru_cache(maxsize=64)
def sphere_weights(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the part of each voxel that lies in a 1 cm3 sphere around the central voxel.

    Args:
        spacing_mm: Voxel size along (z, y, x).

    Returns:
        float64, odd sizes; by 16 x 16 x 16 points in each voxel.

    Examples:
        >>> round(sphere_weights((2.0, 2.0, 2.0)).sum().item() * 0.008, 2)
        1.0
    """
    axes = []
    for spacing in spacing_mm:
        reach = max(0, math.ceil(PEAK_RADIUS_MM / spacing - 0.5))
        points = (np.arange((2 * reach + 1) * EDGE_PARTS) + 0.5) / EDGE_PARTS - reach - 0.5
        axes.append(points * spacing)
    z, y, x = axes
    apart = z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2
    points = (apart <= PEAK_RADIUS_MM**2).astype(np.float64)
    counts = [len(axis) // EDGE_PARTS for axis in axes]
    split = points.reshape(counts[0], EDGE_PARTS, counts[1], EDGE_PARTS, counts[2], EDGE_PARTS)
    weights: NDArray[np.float64] = split.mean(axis=(1, 3, 5))
    weights.setflags(write=False)
    return weights
