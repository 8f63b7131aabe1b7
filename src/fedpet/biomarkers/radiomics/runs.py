"""Grey level run length matrix (GLRLM): how far one level goes on along a direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedpet.biomarkers.radiomics.aggregation import (
    Aggregation,
    Step,
    Table,
    aggregate,
    directions_of,
    slices_of,
    voxels_in,
)
from fedpet.biomarkers.radiomics.emphasis import named

features = named(
    "rlm",
    (
        *("sre", "lre", "lgre", "hgre", "srlge", "srhge", "lrlge", "lrhge", "glnu", "glnu_norm"),
        *("rlnu", "rlnu_norm", "r_perc", "gl_var", "rl_var", "rl_entr"),
    ),
)


def run_lengths(levels: NDArray[np.int64], *, aggregation: Aggregation) -> dict[str, float]:
    """Measure the 16 GLRLM features.

    Args:
        levels: int64 [z, y, x], 1 and above in the region, 0 outside.
        aggregation: How slices and directions are brought together.

    Returns:
        Features by IBSI tag without aggregation, such as `rlm_sre`.

    Source:
        IBSI reference manual 3.7.
    """
    flat = not aggregation.startswith("3D")
    tables = [_count(levels, step, flat=flat) for step in directions_of(aggregation)]
    return aggregate(tables, voxels_in(levels, flat=flat), features, aggregation=aggregation)


def _count(levels: NDArray[np.int64], step: Step, *, flat: bool) -> Table:
    """Follow all runs at once from their first voxels, one step at a time."""
    padded = np.pad(levels, 1)
    where, slices = slices_of(levels, flat=flat)
    numbers = np.pad(where, 1).ravel()
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    jump = sum(by * stride for by, stride in zip(step, strides, strict=True))
    values = padded.ravel()
    inside = np.flatnonzero(values)
    starts = inside[values[inside - jump] != values[inside]]
    lengths = np.ones(len(starts), np.int64)
    going = np.arange(len(starts))
    while len(going):
        ahead = starts[going] + lengths[going] * jump
        going = going[values[ahead] == values[starts[going]]]
        lengths[going] += 1
    top, longest = int(levels.max()), max(levels.shape)
    code = (numbers[starts] * top + values[starts] - 1) * longest + lengths - 1
    table = np.bincount(code, minlength=slices * top * longest)
    return table.reshape(slices, top, longest).astype(np.float64)
