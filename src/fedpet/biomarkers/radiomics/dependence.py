"""Neighbourhoods: grey tone difference (NGTDM) and grey level dependence (NGLDM)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.biomarkers.radiomics.aggregation import (
    Dimensions,
    Table,
    aggregate,
    slices_of,
    voxels_in,
)
from fedpet.biomarkers.radiomics.emphasis import named
from fedpet.biomarkers.radiomics.zones import MERGING

dependence_features = named(
    "ngl",
    (
        *("lde", "hde", "lgce", "hgce", "ldlge", "ldhge", "hdlge", "hdhge", "glnu", "glnu_norm"),
        *("dcnu", "dcnu_norm", "dc_perc", "gl_var", "dc_var", "dc_entr", "dc_energy"),
    ),
)
COARSENESS_MAX = 1e6


def neighbourhoods(levels: NDArray[np.int64], *, dimensions: Dimensions) -> dict[str, float]:
    """Measure the 5 NGTDM and the 17 NGLDM features: distance 1, coarseness 0.

    Args:
        levels: int64 [z, y, x], 1 and above in the region, 0 outside.
        dimensions: `2D` averages slices, `2_5D` merges them, `3D` looks at all 26 neighbours.

    Returns:
        Features by IBSI tag without dimensions, such as `ngt_coarseness`, `ngl_lde`.

    Source:
        IBSI reference manual 3.10 and 3.11; what pyradiomics calls GLDM is the NGLDM.
    """
    flat = dimensions != "3D"
    voxels = voxels_in(levels, flat=flat)
    merging = MERGING[dimensions]
    return {
        **aggregate([_tones(levels, flat=flat)], voxels, tone_features, aggregation=merging),
        **aggregate(
            [_dependences(levels, flat=flat)], voxels, dependence_features, aggregation=merging
        ),
    }


def _around(flat: bool) -> NDArray[np.int64]:
    kernel = np.ones((3, 3, 3), np.int64)
    kernel[1, 1, 1] = 0
    if flat:
        kernel[[0, 2]] = 0
    return kernel


def _tones(levels: NDArray[np.int64], *, flat: bool) -> Table:
    """Return, per slice, (voxels with a neighbour, sum of differences) for each level."""
    kernel = _around(flat)
    near = ndimage.correlate((levels > 0).astype(np.int64), kernel, mode="constant")
    total = ndimage.correlate(levels, kernel, mode="constant")
    where, slices = slices_of(levels, flat=flat)
    valid = (levels > 0) & (near > 0)
    apart = np.abs(levels[valid] - total[valid] / near[valid])
    top = int(levels.max())
    code = where[valid] * top + levels[valid] - 1
    counts = np.bincount(code, minlength=slices * top)
    sums = np.bincount(code, apart, slices * top)
    return np.stack([counts, sums], axis=-1).reshape(slices, top, 2).astype(np.float64)


def tone_features(table: Table, voxels: float) -> dict[str, float]:
    """Measure the NGTDM features of one table (count, sum of differences) by level.

    Coarseness of a flat region is 1e6; its busyness, strength and contrast are 0.
    """
    del voxels
    count, s = table[:, 0], table[:, 1]
    total = count.sum()
    there = count > 0
    i = np.arange(1, len(count) + 1, dtype=np.float64)[there]
    p, s, levels = count[there] / total, s[there], int(there.sum())
    apart = i[:, None] - i
    weighted = float(p @ s)
    busy = float(np.abs(i * p - (i * p)[:, None]).sum())
    contrast = 0.0
    if levels > 1:
        spread = float(p @ apart**2 @ p) / (levels * (levels - 1))
        contrast = spread * float(s.sum()) / total
    mixed = (p * s + (p * s)[:, None]) / (p + p[:, None])
    strength = float(((p + p[:, None]) * apart**2).sum())
    return {
        "ngt_coarseness": min(1 / weighted, COARSENESS_MAX) if weighted > 0 else COARSENESS_MAX,
        "ngt_contrast": contrast,
        "ngt_busyness": weighted / busy if busy > 0 else 0.0,
        "ngt_complexity": float((np.abs(apart) * mixed).sum()) / total,
        "ngt_strength": strength / float(s.sum()) if s.sum() > 0 else 0.0,
    }


def _dependences(levels: NDArray[np.int64], *, flat: bool) -> Table:
    """Count voxels by level and by how many of their neighbourhood, themselves too, equal them."""
    padded = np.pad(levels, 1)
    equal = np.ones(levels.shape, np.int64)
    depth, rows, columns = levels.shape
    for z, y, x in np.argwhere(_around(flat)):
        equal += padded[z : z + depth, y : y + rows, x : x + columns] == levels
    where, slices = slices_of(levels, flat=flat)
    inside = levels > 0
    top, most = int(levels.max()), 9 if flat else 27
    code = (where[inside] * top + levels[inside] - 1) * most + equal[inside] - 1
    table = np.bincount(code, minlength=slices * top * most)
    return table.reshape(slices, top, most).astype(np.float64)
