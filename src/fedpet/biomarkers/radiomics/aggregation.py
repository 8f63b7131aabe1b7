"""How matrices of slices and directions become one value of a feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Aggregation = Literal["2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb"]
AGGREGATIONS: Final[tuple[Aggregation, ...]] = (
    "2D_avg",
    "2D_comb",
    "2_5D_avg",
    "2_5D_comb",
    "3D_avg",
    "3D_comb",
)
Dimensions = Literal["2D", "2_5D", "3D"]
DIMENSIONS: Final[tuple[Dimensions, ...]] = ("2D", "2_5D", "3D")
Step = tuple[int, int, int]
IN_SLICE: Final[tuple[Step, ...]] = ((0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 1, -1))
IN_SPACE: Final[tuple[Step, ...]] = (
    *IN_SLICE,
    *((1, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)),
)
Table = NDArray[np.float64]
Features = Callable[[Table, float], Mapping[str, float]]


def directions_of(aggregation: Aggregation) -> tuple[Step, ...]:
    """Return the steps (z, y, x) along which neighbours are looked for."""
    return IN_SPACE if aggregation.startswith("3D") else IN_SLICE


def aggregate(
    tables: Sequence[Table],
    voxels: NDArray[np.int64],
    features: Features,
    *,
    aggregation: Aggregation,
) -> dict[str, float]:
    """Merge or average matrices, and measure features on them.

    Args:
        tables: One per direction, float64 [slices, rows, columns].
        voxels: Voxels of the region in each slice.
        features: Of one matrix and the voxels that it was counted over.
        aggregation: `2D`: each slice by itself, features are averaged over slices; `2_5D` and
            `3D`: slices are merged. `avg`: features are averaged over directions; `comb`:
            directions are merged.

    Returns:
        Features by name; NaN where every matrix is empty.

    Source:
        IBSI reference manual 3.6 and 3.7, aggregation methods.
    """
    counted: list[tuple[Table, float]] = []
    merged = aggregation.endswith("comb")
    if merged:
        tables, times = [np.sum(tables, axis=0)], len(tables)
    else:
        times = 1
    for table in tables:
        if aggregation.startswith("2D"):
            counted += [(table[row], float(number)) for row, number in enumerate(voxels)]
        else:
            counted.append((table.sum(axis=0), float(voxels.sum())))
    found = [features(table, number * times) for table, number in counted if table.any()]
    if not found:
        empty = features(np.ones_like(counted[0][0]), 2.0)
        return dict.fromkeys(empty, float("nan"))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def slices_of(levels: NDArray[np.int64], *, flat: bool) -> tuple[NDArray[np.int64], int]:
    """Return the number of the slice of each voxel, and how many there are; one if not `flat`."""
    if not flat:
        return np.zeros(levels.shape, np.int64), 1
    count = levels.shape[0]
    return np.broadcast_to(np.arange(count)[:, None, None], levels.shape), count


def voxels_in(levels: NDArray[np.int64], *, flat: bool) -> NDArray[np.int64]:
    """Return the voxels of the region in each slice, or in all together if not `flat`."""
    counts = (levels > 0).sum(axis=(1, 2))
    return counts if flat else np.array([counts.sum()])
