"""Features that runs, zones, distance zones and dependencies share: levels against sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedpet.biomarkers.radiomics.aggregation import Features, Table
from fedpet.biomarkers.radiomics.cooccurrence import entropy


def named(prefix: str, names: Sequence[str], sizes: NDArray[np.int64] | None = None) -> Features:
    """Return a function that measures a matrix and names what it finds.

    Args:
        prefix: Of the family, such as `rlm`.
        names: Of the values of `emphases`, in their order; those beyond are left out.
        sizes: Of the columns; 1, 2, ... if None.
    """

    def features(table: Table, voxels: float) -> dict[str, float]:
        found = emphases(table, voxels, sizes)
        return {f"{prefix}_{name}": found[place] for place, name in enumerate(names)}

    return features


def emphases(
    table: Table, voxels: float, sizes: NDArray[np.int64] | None = None
) -> tuple[float, ...]:
    """Measure a matrix of counts.

    Args:
        table: Rows are levels 1, 2, ...; columns are sizes.
        voxels: That were counted, for the share of things in voxels.
        sizes: Of the columns; 1, 2, ... if None.

    Returns:
        Emphasis of short, long, low, high, short low, short high, long low, long high; level
        non-uniformity and normalised; size non-uniformity and normalised; things per voxel;
        level variance; size variance; entropy; energy.

    Source:
        IBSI reference manual 3.7 to 3.9 and 3.11, which share these forms.
    """
    total = table.sum()
    p = table / total
    i = np.arange(1, p.shape[0] + 1, dtype=np.float64)
    j = (np.arange(1, p.shape[1] + 1) if sizes is None else sizes).astype(np.float64)
    by_level, by_size = p.sum(axis=1), p.sum(axis=0)
    low, high, short, long = i**-2.0, i**2, j**-2.0, j**2
    level_mean, size_mean = float(i @ by_level), float(j @ by_size)
    return tuple(
        float(value)
        for value in (
            short @ by_size,
            long @ by_size,
            low @ by_level,
            high @ by_level,
            low @ p @ short,
            high @ p @ short,
            low @ p @ long,
            high @ p @ long,
            total * (by_level @ by_level),
            by_level @ by_level,
            total * (by_size @ by_size),
            by_size @ by_size,
            total / voxels,
            (i - level_mean) ** 2 @ by_level,
            (j - size_mean) ** 2 @ by_size,
            entropy(p),
            (p**2).sum(),
        )
    )
