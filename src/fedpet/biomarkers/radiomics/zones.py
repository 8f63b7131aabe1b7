"""Zones of one level: their sizes (GLSZM) and their distance to the border (GLDZM)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.biomarkers.radiomics.aggregation import (
    Aggregation,
    Dimensions,
    Table,
    aggregate,
    voxels_in,
)
from fedpet.biomarkers.radiomics.emphasis import named

SIZE_NAMES = (
    *("sze", "lze", "lgze", "hgze", "szlge", "szhge", "lzlge", "lzhge", "glnu", "glnu_norm"),
    *("zsnu", "zsnu_norm", "z_perc", "gl_var", "zs_var", "zs_entr"),
)
DISTANCE_NAMES = (
    *("sde", "lde", "lgze", "hgze", "sdlge", "sdhge", "ldlge", "ldhge", "glnu", "glnu_norm"),
    *("zdnu", "zdnu_norm", "z_perc", "gl_var", "zd_var", "zd_entr"),
)
MERGING: dict[Dimensions, Aggregation] = {"2D": "2D_avg", "2_5D": "2_5D_avg", "3D": "3D_avg"}


def zones(
    levels: NDArray[np.int64], shape: NDArray[np.bool_], *, dimensions: Dimensions
) -> dict[str, float]:
    """Measure the 16 GLSZM and the 16 GLDZM features.

    Args:
        levels: int64 [z, y, x], 1 and above in the region, 0 outside.
        shape: What was drawn; the border is its border.
        dimensions: `2D` averages slices, `2_5D` merges them, `3D` joins zones through slices.

    Returns:
        Features by IBSI tag without dimensions, such as `szm_sze`, `dzm_sde`.

    Source:
        IBSI reference manual 3.8 and 3.9: neighbours are 8 in a slice or 26 in space; distance
        is the least number of steps over faces to leave the region.
    """
    flat = dimensions != "3D"
    level, number, size, distance = _found(levels, _depth(shape, flat=flat), flat=flat)
    voxels = voxels_in(levels, flat=flat)
    slices = levels.shape[0] if flat else 1
    found: dict[str, float] = {}
    for prefix, names, values in (
        ("szm", SIZE_NAMES, size),
        ("dzm", DISTANCE_NAMES, distance),
    ):
        # Sizes are few but large: columns only for those that occur.
        columns, column = np.unique(values, return_inverse=True)
        top = int(level.max())
        code = (number * top + level - 1) * len(columns) + column
        table: Table = np.bincount(code, minlength=slices * top * len(columns)).astype(np.float64)
        found |= aggregate(
            [table.reshape(slices, top, len(columns))],
            voxels,
            named(prefix, names, columns),
            aggregation=MERGING[dimensions],
        )
    return found


def _depth(shape: NDArray[np.bool_], *, flat: bool) -> NDArray[np.int64]:
    """Return how many steps over faces lead out of the region; 1 at its border."""
    padded = np.pad(shape, 1)
    if not flat:
        steps = ndimage.distance_transform_cdt(padded, metric="taxicab")
    else:
        steps = np.stack([ndimage.distance_transform_cdt(one, metric="taxicab") for one in padded])
    depth: NDArray[np.int64] = steps[1:-1, 1:-1, 1:-1].astype(np.int64)
    return depth


def _found(
    levels: NDArray[np.int64], depth: NDArray[np.int64], *, flat: bool
) -> tuple[NDArray[np.int64], ...]:
    """Return level, slice, size and distance of every zone."""
    joined = np.ones((3, 3, 3), bool)
    if flat:
        joined[[0, 2]] = False
    found: list[tuple[NDArray[np.int64], ...]] = []
    for level in np.unique(levels[levels > 0]):
        box = ndimage.find_objects((levels == level).astype(np.uint8))[0]
        parts, count = ndimage.label(levels[box] == level, joined)
        index = np.arange(1, count + 1)
        first = ndimage.minimum(np.indices(parts.shape)[0], parts, index).astype(np.int64)
        found.append(
            (
                np.full(count, level),
                first + box[0].start if flat else np.zeros(count, np.int64),
                np.bincount(parts.ravel())[1:],
                ndimage.minimum(depth[box], parts, index).astype(np.int64),
            )
        )
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))
