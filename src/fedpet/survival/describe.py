"""Describe columns from sums: mean and spread in two passes, histograms, counts of categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def moment_sums(
    table: Floats, *, center: Floats | None = None, scale: Floats | None = None
) -> dict[str, Floats]:
    """Count and sum a site's columns, and with a center also their squares; missing do not count.

    Args:
        table: [n, p], NaN for missing.
        center: [p], subtracted first; None for 0, and for no squares.
        scale: [p], divided by after; None for 1.

    Returns:
        `subjects` [1], `count` [p], `sum` [p], with a center also `sum_squares` [p].

    Examples:
        >>> moment_sums(np.array([[1.0], [3.0], [np.nan]]))["sum"].tolist()
        [4.0]
    """
    known = ~np.isnan(table)
    offset = np.zeros(table.shape[1]) if center is None else center
    unit = np.ones(table.shape[1]) if scale is None else scale
    values = np.where(known, (table - offset) / unit, 0.0)
    sums = {
        "subjects": np.array([float(len(table))]),
        "count": known.sum(axis=0).astype(np.float64),
        "sum": values.sum(axis=0),
    }
    return sums if center is None else {**sums, "sum_squares": (values**2).sum(axis=0)}


def histogram_sums(table: Floats, edges: Floats) -> dict[str, Floats]:
    """Count each column's values by cell: below the first edge, between edges, from the last on.

    Args:
        table: [n, p], NaN for missing.
        edges: [p, b], increasing along each row; a cell includes its lower edge.

    Returns:
        `cells`, [p, b + 1].

    Examples:
        >>> histogram_sums(np.array([[1.0], [2.0], [9.0]]), np.array([[2.0, 5.0]]))["cells"]
        array([[1., 1., 1.]])
    """
    cells = np.zeros((len(edges), edges.shape[1] + 1))
    for column, row in enumerate(edges):
        known = table[~np.isnan(table[:, column]), column]
        which = np.searchsorted(row, known, side="right")
        cells[column] = np.bincount(which, minlength=cells.shape[1])
    return {"cells": cells}


def level_sums(table: Floats, levels: Floats) -> dict[str, Floats]:
    """Count a site's values by category.

    Args:
        table: [n, p], NaN for missing.
        levels: [p, l], the categories of each column.

    Returns:
        `levels` [p, l], `other` [p]: known values that are no category.

    Examples:
        >>> level_sums(np.array([[1.0], [1.0], [7.0]]), np.array([[0.0, 1.0]]))["levels"].tolist()
        [[0.0, 2.0]]
    """
    counts = (table[:, :, None] == levels[None, :, :]).sum(axis=0).astype(np.float64)
    known = (~np.isnan(table)).sum(axis=0)
    return {"levels": counts, "other": known - counts.sum(axis=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Counts, means and spreads of columns over all sites.

    Args:
        subjects: Subjects over all sites.
        count: [p], subjects with a known value.
        mean: [p]; NaN where nobody has a value.
        sd: [p], with n - 1; NaN for fewer than two values.
    """

    subjects: int
    count: Floats
    mean: Floats
    sd: Floats


def mean_of(first: Mapping[str, Floats]) -> Floats:
    """Return each column's mean from the first pass; 0 where nobody has a value."""
    count = first["count"]
    return np.divide(first["sum"], count, out=np.zeros_like(count), where=count > 0)


def moments_of(second: Mapping[str, Floats], *, center: Floats, scale: Floats) -> Moments:
    """Return mean and standard deviation from the second pass.

    The second pass sums about the first pass's mean, so that nothing cancels; its own small sum
    corrects what was rounded in the first.

    Source:
        Chan, Golub & LeVeque 1983, the corrected two-pass algorithm.
    """
    count = second["count"]
    some, several = count > 0, count > 1
    shift = np.divide(second["sum"], count, out=np.zeros_like(count), where=some)
    squares = second["sum_squares"] - count * shift**2
    spread = np.divide(squares, count - 1, out=np.full_like(count, np.nan), where=several)
    return Moments(
        subjects=round(float(second["subjects"].sum())),
        count=count,
        mean=np.where(some, center + scale * shift, np.nan),
        sd=scale * np.sqrt(np.maximum(spread, 0.0)),
    )
