"""Grey level co-occurrence matrix (GLCM): which levels lie beside which."""

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


def cooccurrence(levels: NDArray[np.int64], *, aggregation: Aggregation) -> dict[str, float]:
    """Measure the 25 GLCM features: symmetric matrix, distance 1.

    Args:
        levels: int64 [z, y, x], 1 and above in the region, 0 outside.
        aggregation: How slices and directions are brought together.

    Returns:
        Features by IBSI tag without aggregation, such as `cm_joint_max`.

    Source:
        IBSI reference manual 3.6.
    """
    flat = not aggregation.startswith("3D")
    tables = [_count(levels, step, flat=flat) for step in directions_of(aggregation)]
    return aggregate(tables, voxels_in(levels, flat=flat), features, aggregation=aggregation)


def _count(levels: NDArray[np.int64], step: Step, *, flat: bool) -> Table:
    top = int(levels.max())
    where, slices = slices_of(levels, flat=flat)
    here = tuple(slice(max(0, -by), count - max(0, by)) for by, count in _along(step, levels))
    there = tuple(slice(max(0, by), count - max(0, -by)) for by, count in _along(step, levels))
    first, second = levels[here], levels[there]
    both = (first > 0) & (second > 0)
    code = (where[here][both] * top + first[both] - 1) * top + second[both] - 1
    table = np.bincount(code, minlength=slices * top * top).reshape(slices, top, top)
    return (table + table.transpose(0, 2, 1)).astype(np.float64)


def _along(step: Step, levels: NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(step, levels.shape, strict=True))


def entropy(p: NDArray[np.float64]) -> float:
    """Return -sum p log2 p over the positive parts."""
    some = p[p > 0]
    return float(-(some @ np.log2(some)))


def features(table: Table, voxels: float) -> dict[str, float]:
    """Measure the features of one symmetric matrix; `voxels` is not needed.

    A region of one level has correlation 1 and no information to share.
    """
    del voxels
    p = table / table.sum()
    count = len(p)
    i = np.arange(1, count + 1, dtype=np.float64)
    apart = np.abs(i[:, None] - i)
    p_i = p.sum(axis=1)
    p_diff = np.asarray(np.bincount(apart.astype(np.int64).ravel(), p.ravel(), count), np.float64)
    both = (i[:, None] + i).astype(np.int64)
    p_sum = np.asarray(np.bincount(both.ravel(), p.ravel()), np.float64)
    k_diff, k_sum = np.arange(count), np.arange(len(p_sum))
    mean = float(i @ p_i)
    variance = float((i - mean) ** 2 @ p_i)
    diff_mean, sum_mean = float(k_diff @ p_diff), float(k_sum @ p_sum)
    auto = float(i @ p @ i)
    skewed = k_sum - 2 * mean
    off = apart > 0
    return {
        "cm_joint_max": float(p.max()),
        "cm_joint_avg": mean,
        "cm_joint_var": variance,
        "cm_joint_entr": entropy(p),
        "cm_diff_avg": diff_mean,
        "cm_diff_var": float((k_diff - diff_mean) ** 2 @ p_diff),
        "cm_diff_entr": entropy(p_diff),
        "cm_sum_avg": sum_mean,
        "cm_sum_var": float((k_sum - sum_mean) ** 2 @ p_sum),
        "cm_sum_entr": entropy(p_sum),
        "cm_energy": float((p**2).sum()),
        "cm_contrast": float(k_diff**2 @ p_diff),
        "cm_dissimilarity": diff_mean,
        "cm_inv_diff": float((p_diff / (1 + k_diff)).sum()),
        "cm_inv_diff_norm": float((p_diff / (1 + k_diff / count)).sum()),
        "cm_inv_diff_mom": float((p_diff / (1 + k_diff**2)).sum()),
        "cm_inv_diff_mom_norm": float((p_diff / (1 + (k_diff / count) ** 2)).sum()),
        "cm_inv_var": float((p[off] / apart[off] ** 2).sum()),
        "cm_corr": (auto - mean**2) / variance if variance > 0 else 1.0,
        "cm_auto_corr": auto,
        "cm_clust_tend": float(skewed**2 @ p_sum),
        "cm_clust_shade": float(skewed**3 @ p_sum),
        "cm_clust_prom": float(skewed**4 @ p_sum),
        **_information(p, p_i),
    }


def _information(p: Table, p_i: NDArray[np.float64]) -> dict[str, float]:
    """Return both information correlations; p is symmetric, so that rows and columns agree."""
    product = p_i[:, None] * p_i
    shared = product > 0
    joint, single = entropy(p), entropy(p_i)
    crossed = float(-(p[shared] @ np.log2(product[shared])))
    independent = entropy(product)
    # In the manual the exponent holds entropies in bits.
    second = max(0.0, 1 - float(np.exp(-2 * (independent - joint))))
    return {
        "cm_info_corr1": (joint - crossed) / single if single > 0 else 0.0,
        "cm_info_corr2": second**0.5,
    }
